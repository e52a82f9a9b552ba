/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "xmpp/xml.h"

#define assert_slice(s, text)                                                                                                  \
	do {                                                                                                                   \
		struct slice assert_slice_s = (s);                                                                             \
		assert_int_equal(assert_slice_s.len, strlen(text));                                                            \
		assert_memory_equal(assert_slice_s.len ? assert_slice_s.p : "", text, assert_slice_s.len);                     \
	} while (0)

/* The text of a node, in the arena. */
static inline const char *unit_text(struct arena *a, const struct xml_node *n, struct slice ns)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	xml_write(&b, n, ns);
	struct slice s = buf_ok(&b) ? arena_dup(a, buf_slice(&b)) : S("(failed)");
	buf_free(&b);
	return s.p;
}

static inline struct xml_node *unit_parse(struct arena *a, const char *text)
{
	struct xml_node *n = NULL;
	struct entente_err err = {0};
	int rc = xml_parse(&n, a, slice_str(text), &xml_limits_default, &err);
	if (rc)
		print_message("# %s: %s\n", text, err.text);
	assert_int_equal(rc, 0);
	return n;
}

/* A test of the catalogue: its name begins with its id. */
#define NAMED(name, f) {name, f, NULL, NULL, NULL}
