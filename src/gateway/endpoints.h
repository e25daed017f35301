/* What the gateway serves: one row an endpoint. */
#ifndef QUORATE_GATEWAY_ENDPOINTS_H
#define QUORATE_GATEWAY_ENDPOINTS_H

#include "env/http.h"

/* X(enumerator, name in metrics, methods allowed; HEAD goes with GET, OPTIONS with anything) */
#define ENDPOINT_MAP(X)                                                                                                \
    X(KV, "kv", "GET, PUT, DELETE")                                                                                    \
    X(SCAN, "scan", "GET")                                                                                             \
    X(BATCH, "batch", "POST")                                                                                          \
    X(TXN, "txn", "POST")                                                                                              \
    X(TXN_ANSWER, "txn_answer", "GET, POST")                                                                           \
    X(TXN_BEGIN, "txn_begin", "POST")                                                                                  \
    X(TXN_COMMIT, "txn_commit", "POST")                                                                                \
    X(TXN_ABORT, "txn_abort", "POST")                                                                                  \
    X(LEDGER_ACCOUNTS, "ledger_accounts", "GET, POST")                                                                 \
    X(LEDGER_ACCOUNT, "ledger_account", "GET")                                                                         \
    X(LEDGER_BALANCES, "ledger_balances", "GET")                                                                       \
    X(LEDGER_POSTINGS, "ledger_postings", "GET")                                                                       \
    X(LEDGER_TRANSFERS, "ledger_transfers", "GET, POST")                                                               \
    X(LEDGER_TRANSFER, "ledger_transfer", "GET")                                                                       \
    X(LEDGER_CURRENCIES, "ledger_currencies", "GET")                                                                   \
    X(LEDGER_CURRENCY, "ledger_currency", "PUT")                                                                       \
    X(LEDGER_AUDIT, "ledger_audit", "GET, POST")                                                                       \
    X(WATCH, "watch", "GET")                                                                                           \
    X(KEYSPACES, "keyspaces", "GET, POST")                                                                             \
    X(KEYSPACE, "keyspace", "GET, PUT, DELETE")                                                                        \
    X(SNAPSHOTS, "snapshots", "GET, POST")                                                                             \
    X(SNAPSHOT, "snapshot", "PUT, DELETE")                                                                             \
    X(RANGES, "ranges", "GET")                                                                                         \
    X(NODES, "nodes", "GET")                                                                                           \
    X(OPERATORS, "operators", "GET, POST")                                                                             \
    X(OPERATOR, "operator", "DELETE")                                                                                  \
    X(STATUS, "status", "GET")                                                                                         \
    X(AUTH_SELF, "auth", "GET")                                                                                        \
    X(AUTH_LOGIN, "auth_login", "POST")                                                                                \
    X(AUTH_LOGOUT, "auth_logout", "POST")                                                                              \
    X(AUTH_ENABLE, "auth_enable", "POST")                                                                              \
    X(AUTH_DISABLE, "auth_disable", "POST")                                                                            \
    X(AUTH_USERS, "auth_users", "GET")                                                                                 \
    X(AUTH_USER, "auth_user", "GET, PUT, DELETE")                                                                      \
    X(AUTH_ROLES, "auth_roles", "GET")                                                                                 \
    X(AUTH_ROLE, "auth_role", "GET, PUT, DELETE")                                                                      \
    X(HEALTHZ, "healthz", "GET")                                                                                       \
    X(READYZ, "readyz", "GET")                                                                                         \
    X(METRICS_CLUSTER, "metrics_cluster", "GET")                                                                       \
    X(OPENAPI, "openapi", "GET")                                                                                       \
    X(METRICS, "metrics", "GET")                                                                                       \
    X(ROOT, "root", "GET")                                                                                             \
    X(UNKNOWN, "unknown", "")

enum endpoint {
#define ENDPOINT_ENUM(name, text, methods) ENDPOINT_##name,
    ENDPOINT_MAP(ENDPOINT_ENUM)
#undef ENDPOINT_ENUM
        ENDPOINT_COUNT
};
const char *endpoint_name(enum endpoint e);
const char *endpoint_methods(enum endpoint e);
const char *http_method_text(enum http_method m);
bool endpoint_allows(enum endpoint e, enum http_method m);

#endif
