/* SPDX-License-Identifier: Apache-2.0 */
/* Keep-alives and silence of a stream, under the test's clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "edge/sip_stream.h"

static struct sip_limits limits;
static uint64_t ms;

static enum sip_stream_due look(const struct sip_stream *s, uint64_t now, uint32_t keepalive)
{
	return sip_stream_look(s, now, keepalive, &ms);
}

/* As sip_stream_ping, without a connection. */
static void pinged(struct sip_stream *s, uint64_t now)
{
	s->waiting = true;
	s->pinged = now;
}

static void test_keepalive(void **state)
{
	struct sip_stream s;
	(void)state;
	sip_stream_init(&s, &limits, 1000);
	assert_int_equal(look(&s, 1000, 30000), SIP_STREAM_WELL);
	assert_int_equal(ms, 30000);
	assert_int_equal(look(&s, 1000, 0), SIP_STREAM_WELL); /* switched off */
	assert_int_equal(ms, UINT64_MAX);
	assert_int_equal(look(&s, 30999, 30000), SIP_STREAM_WELL);
	assert_int_equal(look(&s, 31000, 30000), SIP_STREAM_PING);
	/* one that does not know pings is left alone */
	pinged(&s, 31000);
	assert_int_equal(look(&s, 31000 + SIP_STREAM_PONG_MS, 30000), SIP_STREAM_WELL);
	assert_int_equal(look(&s, 61000, 30000), SIP_STREAM_PING);
	/* one that does has ten seconds (RFC 5626 4.4.1) */
	s.ponged = true;
	pinged(&s, 61000);
	assert_int_equal(look(&s, 61000, 30000), SIP_STREAM_WELL);
	assert_int_equal(ms, SIP_STREAM_PONG_MS);
	assert_int_equal(look(&s, 61000 + SIP_STREAM_PONG_MS - 1, 30000), SIP_STREAM_WELL);
	assert_int_equal(look(&s, 61000 + SIP_STREAM_PONG_MS, 30000), SIP_STREAM_GONE);
	s.waiting = false; /* it has said something */
	assert_int_equal(look(&s, 61000 + SIP_STREAM_PONG_MS, 30000), SIP_STREAM_WELL);
	assert_int_equal(ms, 30000 - SIP_STREAM_PONG_MS);
}

static void test_silence(void **state)
{
	struct sip_stream s;
	(void)state;
	sip_stream_init(&s, &limits, 1000);
	assert_false(sip_stream_sent(&s, S("SIP/2.0 200 OK\r\n"), 1500)); /* nobody answers those */
	assert_false(sip_stream_sent(&s, S("ACK sip:a@b SIP/2.0\r\n"), 1500));
	assert_false(sip_stream_sent(&s, S("BENOTIFY sip:a@b SIP/2.0\r\n"), 1500));
	assert_int_equal(s.asked, 0);
	assert_false(sip_stream_sent(&s, S("MESSAGE sip:a@b SIP/2.0\r\n"), 2000)); /* nothing to look for ... */
	assert_int_equal(look(&s, 20000, 30000), SIP_STREAM_WELL); /* not known to answer pings: nothing can be told */
	s.ponged = true;
	assert_true(sip_stream_sent(&s, S("INVITE sip:a@b SIP/2.0\r\n"), 3000)); /* ... now there is; the first one counts */
	assert_int_equal(look(&s, 2000 + SIP_STREAM_SILENT_MS - 1, 30000), SIP_STREAM_WELL);
	assert_int_equal(ms, 1);
	assert_int_equal(look(&s, 2000 + SIP_STREAM_SILENT_MS, 30000), SIP_STREAM_PING);
	pinged(&s, 2000 + SIP_STREAM_SILENT_MS);
	assert_int_equal(look(&s, 2000 + SIP_STREAM_SILENT_MS, 30000), SIP_STREAM_WELL);
	assert_int_equal(ms, SIP_STREAM_SILENT_MS);
	assert_int_equal(look(&s, 2000 + 2 * SIP_STREAM_SILENT_MS - 1, 30000), SIP_STREAM_WELL);
	assert_int_equal(look(&s, 2000 + 2 * SIP_STREAM_SILENT_MS, 30000), SIP_STREAM_GONE); /* long before ten seconds */
	assert_in_range(2 * SIP_STREAM_SILENT_MS, 1, 4000); /* what is promised for a black hole leaves a second to go elsewhere */
	/* a ping that is on its way already when a request is sent: from the request on */
	s = (struct sip_stream){.ponged = true, .waiting = true, .pinged = 10000};
	assert_true(sip_stream_sent(&s, S("INFO sip:a@b SIP/2.0\r\n"), 12000));
	assert_int_equal(look(&s, 12000 + SIP_STREAM_SILENT_MS - 1, 30000), SIP_STREAM_WELL);
	assert_int_equal(look(&s, 12000 + SIP_STREAM_SILENT_MS, 30000), SIP_STREAM_GONE);
	s.asked = 19900; /* but not longer than ten seconds */
	assert_int_equal(look(&s, 10000 + SIP_STREAM_PONG_MS, 30000), SIP_STREAM_GONE);
}

int main(void)
{
	limits = sip_limits_default;
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_keepalive), cmocka_unit_test(test_silence)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
