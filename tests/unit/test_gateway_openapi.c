/* docs/openapi.json is what the gateway serves: each documented path leads to the endpoint that it names, with exactly the methods that are
 * allowed there, and every endpoint is documented. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/parse.h"

static json_t *document;

/* "/v1/kv/{keyspace}/{key}" with words in the place of what varies. */
static void path_fill(const char *template, char *out, size_t room)
{
    size_t n = 0;
    for (const char *p = template; *p != '\0' && n + 2 < room; p++) {
        if (*p != '{') {
            out[n++] = *p;
            continue;
        }
        out[n++] = '7';
        p = strchr(p, '}');
        ck_assert_ptr_nonnull(p);
    }
    out[n] = '\0';
}

static void check_methods(const char *path, json_t *item, enum endpoint e)
{
    static const struct {
        const char *word;
        enum http_method method;
    } methods[] = {{"get", HTTP_GET}, {"put", HTTP_PUT}, {"post", HTTP_POST}, {"delete", HTTP_DELETE}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        bool documented = json_object_get(item, methods[i].word) != NULL;
        ck_assert_msg(documented == endpoint_allows(e, methods[i].method), "%s %s: %s", methods[i].word, path,
                      documented ? "is documented and not served" : "is served and not documented");
    }
}

START_TEST(served_is_documented_and_documented_is_served)
{
    bool seen[ENDPOINT_COUNT] = {false};
    const char *path;
    json_t *item;
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        char filled[256];
        struct route r;
        path_fill(path, filled, sizeof(filled));
        route_find(slice_str(filled), &r);
        const char *named = json_string_value(json_object_get(item, "x-endpoint"));
        ck_assert_msg(named != NULL, "%s names no endpoint", path);
        ck_assert_msg(strcmp(named, endpoint_name(r.endpoint)) == 0, "%s leads to %s", path, endpoint_name(r.endpoint));
        check_methods(path, item, r.endpoint);
        seen[r.endpoint] = true;
    }
    for (int e = 0; e < ENDPOINT_COUNT; e++)
        ck_assert_msg(seen[e] || e == ENDPOINT_UNKNOWN, "%s is not documented", endpoint_name((enum endpoint)e));
}
END_TEST

/* Every "$ref" names something that is there. */
static size_t check_refs(json_t *value)
{
    size_t found = 0, i;
    const char *key;
    json_t *child;
    if (json_is_array(value)) {
        json_array_foreach(value, i, child) found += check_refs(child);
    }
    if (!json_is_object(value)) return found;
    json_object_foreach(value, key, child)
    {
        found += check_refs(child);
        const char *ref = strcmp(key, "$ref") == 0 ? json_string_value(child) : NULL;
        if (ref == NULL) continue;
        char group[64], name[64];
        ck_assert_msg(sscanf(ref, "#/components/%63[^/]/%63[^/]", group, name) == 2, "%s", ref);
        ck_assert_msg(json_object_get(json_object_get(json_object_get(document, "components"), group), name) != NULL,
                      "%s is nowhere", ref);
        found++;
    }
    return found;
}

START_TEST(references_lead_somewhere)
{
    ck_assert_uint_gt(check_refs(document), 100);
}
END_TEST

START_TEST(operations_are_whole)
{
    json_t *ids = json_object(), *item, *operation;
    const char *path, *method;
    json_object_foreach(json_object_get(document, "paths"), path, item) json_object_foreach(item, method, operation)
    {
        const char *id = json_string_value(json_object_get(operation, "operationId"));
        if (!json_is_object(operation)) continue;
        ck_assert_msg(id != NULL && json_object_get(ids, id) == NULL, "%s %s: operationId", method, path);
        json_object_set_new(ids, id, json_true());
        ck_assert_ptr_nonnull(json_object_get(operation, "summary"));
        ck_assert_msg(json_object_get(json_object_get(operation, "responses"), "default") != NULL, "%s %s: errors",
                      method, path);
    }
    ck_assert_uint_gt(json_object_size(ids), 30);
    json_decref(ids);
}
END_TEST

int main(void)
{
    json_error_t error;
    document = json_load_file("docs/openapi.json", JSON_REJECT_DUPLICATES, &error);
    if (document == NULL) {
        printf("docs/openapi.json:%d: %s\n", error.line, error.text);
        return EXIT_FAILURE;
    }
    Suite *s = suite_create("gateway openapi");
    TCase *t = tcase_create("openapi");
    tcase_add_test(t, served_is_documented_and_documented_is_served);
    tcase_add_test(t, references_lead_somewhere);
    tcase_add_test(t, operations_are_whole);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    json_decref(document);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
