/* GET /: what a person sees first, in a browser or in a terminal. */
#include "gateway/answer.h"

static void root_text(struct answer *a)
{
    a->content_type = "text/plain; charset=utf-8";
    buf_append_str(
        &a->body,
        "Quorate: a replicated, strictly serializable key-value database. In a browser this is its console.\n\n"
        "  PUT|GET|HEAD|DELETE /v1/kv/{keyspace}/{key}   raw values; ETag, If-Match, If-None-Match, Idempotency-Key\n"
        "  GET  /v1/kv/{keyspace}?prefix=&start=&end=&limit=&reverse=&keys_only=&encoding=base64&next=\n"
        "  GET /v1/txn/{id}?keyspace=&key=               what it was answered; key: its first operation's\n"
        "  POST /v1/txn                                  {\"id\",\"keyspace\",\"compare\":[],\"then\":[],\"else\":[]}\n"
        "  POST /v1/batch                                {\"keyspace\",\"ops\":[]}: each for itself\n"
        "  POST /v1/txn/begin, /v1/txn/{session}[/commit|/abort]   {\"ops\":[]}: a transaction in steps\n"
        "  GET|POST /v1/keyspaces                        "
        "{\"name\",\"splits\":[],\"hash_buckets\",\"replication\",\"ttl\"}\n"
        "  GET|PUT|DELETE /v1/keyspaces/{name}           {\"replication\",\"ttl\",\"dropped\":false}; ?grace=24h\n"
        "  GET /v1/auth, POST /v1/auth/login|logout|enable|disable, /v1/auth/users[/{name}], /v1/auth/roles[/{name}]\n"
        "  GET  /v1/ranges  /v1/nodes  /v1/status\n"
        "  GET|POST /v1/snapshots, PUT|DELETE /v1/snapshots/{name}   {\"name\",\"at\",\"lifetime\"}: a past that is "
        "kept\n"
        "  GET|POST /v1/operators, DELETE /v1/operators/{id}   {\"kind\",\"range\",\"from\",\"to\"}\n"
        "  GET|POST /v1/ledger/accounts  /v1/ledger/transfers[/{id}]  GET /v1/ledger/audit|currencies\n"
        "  GET  /healthz  /readyz  /metrics  /metrics/cluster  /v1/openapi.json\n\n"
        "A keyspace 'default' exists. Errors: "
        "{\"error\":{\"code\",\"message\",\"outcome\":\"definite\"|\"unknown\"}}.\n"
        "Try: curl -X PUT --data-binary hello http://HOST:PORT/v1/kv/default/greeting\n");
}

/* A browser names text/html; curl and libraries take anything. */
void answer_root(struct answer *a, const struct page *page, const struct input *in)
{
    answer_header(a, "Vary", "Accept");
    answer_header(a, "X-Content-Type-Options", "nosniff");
    if (in->accept == NULL || strstr(in->accept, "text/html") == NULL) {
        root_text(a);
        return;
    }
    answer_header(a, "Content-Security-Policy", page->policy);
    answer_header(a, "Referrer-Policy", "no-referrer");
    answer_header(a, "Cache-Control", "no-cache");
    answer_header(a, "ETag", page->etag);
    if (in->if_none_match != NULL && strcmp(in->if_none_match, page->etag) == 0) {
        a->code = 304;
        a->content_type = NULL;
        return;
    }
    a->content_type = "text/html; charset=utf-8";
    a->borrowed = buf_slice(&page->body);
}
