/* SPDX-License-Identifier: Apache-2.0 */
/* What targets share. A property that does not hold ends the program, and so becomes a finding. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* Lies in `all`, or is empty. */
static inline bool inside(struct slice all, struct slice s)
{
	return !s.len || (s.p >= all.p && s.p + s.len <= all.p + all.len);
}
