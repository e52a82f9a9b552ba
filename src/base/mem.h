/* SPDX-License-Identifier: Apache-2.0 */
/* Heap memory. Every quantity that a peer controls is bounded by a limit before it gets here, so an exhausted heap is a
 * fault of the machine and ends the process with a message (docs/adr/0002): callers never see NULL. Any thread. */
#pragma once
#include <stddef.h>

/* Zeroed memory of n * size octets; aborts on overflow or exhaustion. Free with mem_free. */
void *mem_calloc(size_t n, size_t size);
/* As realloc; aborts on exhaustion. New octets are not zeroed. */
void *mem_realloc(void *p, size_t size);
/* Accepts NULL. Returns NULL, so that `p = mem_free(p)` forgets the pointer. */
void *mem_free(void *p);
/* Copies n octets and adds a NUL. */
char *mem_strndup(const char *p, size_t n);

#define MEM_NEW(type) ((type *)mem_calloc(1, sizeof(type)))
