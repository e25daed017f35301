#include "base/assert.h"
#include "http/http_int.h"

#include <stdio.h>
#include <string.h>

static const char *reason_of(int code)
{
    static const struct {
        int code;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].code == code) return reasons[i].reason;
    }
    return "Other"; /* the phrase has no meaning to a program (RFC 9112, 4) */
}

/* The civil date of a number of days since 1970: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static void civil_from_days(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted = (5 * of_year + 2) / 153; /* March is 0 */
    *day = (unsigned)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (unsigned)(year_of_era + era * 400 + (*month <= 2 ? 1 : 0));
}

void http_date(uint64_t wall_ms, char out[HTTP_DATE_SIZE])
{
    static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"}; /* 1970 began on a Thursday */
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t s = wall_ms / 1000, day_number = s / 86400;
    unsigned year, month, day;
    civil_from_days(day_number, &year, &month, &day);
    ASSERT(month >= 1 && month <= 12);
    (void)snprintf(out, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[day_number % 7], day % 100,
                   months[month - 1], year % 10000, (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60),
                   (unsigned)(s % 60));
}

static void append_header(struct buf *out, const char *name, const char *value)
{
    /* A line end inside would let a value become a header, or a reply, of its own. */
    ASSERT(strpbrk(name, "\r\n:") == NULL);
    ASSERT(strpbrk(value, "\r\n") == NULL);
    buf_append_str(out, name);
    buf_append(out, ": ", 2);
    buf_append_str(out, value);
    buf_append(out, "\r\n", 2);
}

static void append_start(struct buf *out, const struct http_reply_head *head, const char *date)
{
    ASSERT(head->code >= 200 && head->code <= 599);
    buf_append_str(out, "HTTP/1.1 ");
    buf_append_u64(out, (uint64_t)head->code);
    buf_append_byte(out, ' ');
    buf_append_str(out, reason_of(head->code));
    buf_append(out, "\r\n", 2);
    append_header(out, "Date", date);
    if (head->content_type != NULL) append_header(out, "Content-Type", head->content_type);
    for (size_t i = 0; i < head->header_count; i++) append_header(out, head->headers[i].name, head->headers[i].value);
}

void http_head_compose_stream(struct buf *out, const struct http_reply_head *head, const char *date, bool chunked)
{
    append_start(out, head, date);
    if (chunked)
        append_header(out, "Transfer-Encoding", "chunked");
    else
        append_header(out, "Connection", "close");
    buf_append(out, "\r\n", 2);
}

void http_head_compose(struct buf *out, const struct http_reply_head *head, size_t body_size, const char *date,
                       const char *connection)
{
    append_start(out, head, date);
    if (connection != NULL) append_header(out, "Connection", connection);
    if (head->code != 204 && head->code != 304) {
        buf_append_str(out, "Content-Length: ");
        buf_append_u64(out, body_size);
        buf_append(out, "\r\n", 2);
    }
    buf_append(out, "\r\n", 2);
}
