/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/slice.h"

#define assert_slice(s, z)                                                                                                       \
	do {                                                                                                                     \
		struct slice as_ = (s);                                                                                          \
		if (!slice_eq(as_, slice_str(z)))                                                                                \
			fail_msg("'%.*s' is not '%s'", SFMT(as_), (z));                                                          \
	} while (0)
