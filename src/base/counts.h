/* SPDX-License-Identifier: Apache-2.0 */
/* A number for each of very many names, without the names: each is known by a mark of 64 bits (hash_slice of it, under the key of the process), and
 * one table holds marks and numbers: 15 to 30 octets for each, where a map with its element takes 100 and more. Two names that share a mark, which
 * happens once in 2^64, share a number. Not thread-safe; heap. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct counts {
	uint64_t *marks;   /* 0: free */
	uint32_t *numbers;
	size_t cap, n;     /* cap: a power of two, or 0 */
};

/* All zero is an empty one. */
void counts_free(struct counts *c);
/* 0 for a mark that is not there. */
uint32_t counts_get(const struct counts *c, uint64_t mark);
/* 0 takes it out. */
void counts_set(struct counts *c, uint64_t mark, uint32_t number);
