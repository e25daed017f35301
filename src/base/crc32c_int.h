/* For the unit test of CRC-32C: the way that machines without an instruction for it go. Same contract as crc32c. */
#ifndef QUORATE_BASE_CRC32C_INT_H
#define QUORATE_BASE_CRC32C_INT_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
