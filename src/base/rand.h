/* SPDX-License-Identifier: Apache-2.0 */
/* Unguessable numbers from the kernel (buffered per thread; a child of fork begins anew). */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Fills p; aborts if the kernel refuses. Any thread. */
void rand_bytes(void *p, size_t n);
uint64_t rand_u64(void);
/* Uniform in [0, n); n > 0. */
uint64_t rand_below(uint64_t n);
/* Writes n characters of [0-9a-z] and a NUL: dst holds n + 1. About 5.17 bits each. */
void rand_token(char *dst, size_t n);
