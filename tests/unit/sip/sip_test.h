/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the SIP messages share. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/arena.h"
#include "base/mem.h"
#include "sip/build.h"
#include "sip/msg.h"

#define assert_slice(s, z) assert_slice_at((s), (z), __FILE__, __LINE__)

static inline void assert_slice_at(struct slice s, const char *z, const char *file, int line)
{
	if (!slice_eq(s, slice_str(z))) {
		print_error("\"%.*s\" is not \"%s\"\n", SFMT(s), z);
		_fail(file, line);
	}
}

/* The octets of a message with one header field in it that the test is about. */
static inline struct slice with_field(struct arena *a, const char *field)
{
	return arena_printf(a,
			    "MESSAGE sip:bob@b.example SIP/2.0\r\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK1\r\nFrom: "
			    "<sip:a@a.example>;tag=1\r\n"
			    "To: <sip:bob@b.example>\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\n%sContent-Length: 0\r\n\r\n",
			    field);
}

static inline struct sip_msg *must_parse(struct arena *a, struct slice raw)
{
	struct sip_msg *m;
	struct sip_fault fault;
	int rc = sip_msg_parse(&m, a, raw, &sip_limits_default, &fault);
	if (rc)
		print_error("%s\n", fault.text);
	assert_int_equal(rc, 0);
	assert_non_null(m);
	return m;
}
