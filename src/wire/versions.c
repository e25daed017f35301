#include "wire/versions.h"

#include "base/assert.h"

/* Lower than it is, for tests: the program then behaves as the former release (tests/process/test_upgrade.sh). */
#ifndef QUORATE_VERSION_NEWEST
#define QUORATE_VERSION_NEWEST 2u
#endif

static const struct {
    uint32_t since;
    const char *name;
} FEATURES[FEATURE_COUNT] = {
#define FEATURE_ROW(id, since, name) {since, name},
    FEATURE_MAP(FEATURE_ROW)
#undef FEATURE_ROW
};

uint32_t version_newest(void)
{
    return QUORATE_VERSION_NEWEST;
}

uint32_t version_oldest(void)
{
    return VERSION_FIRST;
}

const char *version_release(void)
{
    return QUORATE_VERSION_NEWEST < 2 ? "0.1.0" : "0.2.0";
}

uint32_t feature_since(enum feature f)
{
    ASSERT(f < FEATURE_COUNT);
    return FEATURES[f].since;
}

const char *feature_name(enum feature f)
{
    ASSERT(f < FEATURE_COUNT);
    return FEATURES[f].name;
}

bool feature_on(uint32_t finalised, enum feature f)
{
    return finalised >= feature_since(f);
}
