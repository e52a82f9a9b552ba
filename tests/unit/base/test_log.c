/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that a stranger causes are few, whatever he does; none is hidden without being counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/log.h"

static unsigned admitted(const char *id, const char *key, uint64_t now, unsigned tries, uint64_t *ret_hidden)
{
	unsigned n = 0;
	uint64_t hidden;
	*ret_hidden = 0;
	for (unsigned i = 0; i < tries; i++) {
		if (log_admit(id, slice_str(key), now, &hidden)) {
			n++;
			*ret_hidden += hidden;
		}
	}
	return n;
}

static void test_per_key(void **state)
{
	uint64_t hidden;
	(void)state;
	assert_int_equal(admitted("test/key", "192.0.2.1", 1000, 100, &hidden), LOG_PER_KEY);
	assert_int_equal(hidden, 0);
	assert_int_equal(admitted("test/key", "192.0.2.2", 1000, 1, &hidden), 1);
	assert_int_equal(hidden, 100 - LOG_PER_KEY);
	assert_int_equal(admitted("test/other", "192.0.2.1", 1000, 1, &hidden), 1); /* another event has its own count */
	assert_int_equal(admitted("test/key", "192.0.2.1", 1000 + LOG_WINDOW_MS - 1, 1, &hidden), 0);
	assert_int_equal(admitted("test/key", "192.0.2.1", 1000 + LOG_WINDOW_MS, 1, &hidden), 1);
	assert_int_equal(hidden, 1);
}

static void test_per_event(void **state)
{
	uint64_t hidden;
	unsigned n = 0;
	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		char key[32];
		snprintf(key, sizeof key, "2001:db8::%x", i);
		n += admitted("test/event", key, 5000, 3, &hidden);
	}
	assert_int_equal(n, LOG_PER_EVENT);
}

static struct buf seen;

static void sink(void *arg, struct slice line)
{
	(void)arg;
	buf_put(&seen, line);
}

static unsigned lines(void)
{
	unsigned n = 0;
	for (struct slice rest = buf_slice(&seen); rest.len && slice_split(&rest, '\n').len;)
		n++;
	return n;
}

static void test_line(void **state)
{
	(void)state;
	buf_init(&seen, 65536);
	log_set_sink(sink, NULL);
	for (int i = 0; i < 9; i++)
		log_ev_limited(LOG_WARNING, "test/line", S("a"), {"address", S("a")});
	assert_int_equal(lines(), LOG_PER_KEY);
	buf_clear(&seen);
	log_ev_limited(LOG_WARNING, "test/line", S("b"), {"address", S("b")});
	assert_true(slice_find(buf_slice(&seen), S(" address=b hidden=4\n")) >= 0);
	buf_clear(&seen);
	log_ev_limited(LOG_DEBUG, "test/line", S("c"), {"address", S("c")}); /* below the level: neither written nor counted */
	assert_int_equal(seen.len, 0);
	log_set_sink(NULL, NULL);
	buf_free(&seen);
}

/* ---- journald */

struct journal {
	int datagram, stream[2], old_stderr;
	char dir[32], path[64], line[8192];
};

/* A datagram socket in the place of journald's, and a stream that says in $JOURNAL_STREAM to be its own. */
static void journal_begin(struct journal *j)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct stat st;
	char text[64];
	snprintf(j->dir, sizeof j->dir, "/tmp/test-log-XXXXXX");
	assert_non_null(mkdtemp(j->dir));
	snprintf(j->path, sizeof j->path, "%s/socket", j->dir);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", j->path);
	j->datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(j->datagram, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, j->stream), 0);
	j->old_stderr = dup(STDERR_FILENO);
	assert_true(dup2(j->stream[0], STDERR_FILENO) >= 0);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", text, 1);
}

static void journal_end(struct journal *j)
{
	dup2(j->old_stderr, STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	log_journal(NULL);
	close(j->old_stderr);
	close(j->datagram);
	close(j->stream[0]);
	close(j->stream[1]);
	unlink(j->path);
	rmdir(j->dir);
}

/* What came, ended by NUL; nothing: an empty text. */
static const char *take(struct journal *j, int fd)
{
	ssize_t n = recv(fd, j->line, sizeof j->line - 1, 0);
	j->line[n > 0 ? n : 0] = 0;
	return j->line;
}

static void test_journal(void **state)
{
	struct journal j;
	(void)state;
	journal_begin(&j);
	assert_true(log_journal(j.path));
	log_ev(LOG_WARNING, "message/undelivered", {"reason", S("sip/timeout")}, {"partner", S("example.org")}, {"what-if", S("a \"b\"")});
	assert_string_equal(take(&j, j.datagram), "MESSAGE=message/undelivered reason=sip/timeout partner=example.org what-if=\"a \\\"b\\\"\"\n"
						 "PRIORITY=4\nSYSLOG_IDENTIFIER=entented\nMESSAGE_ID=a94e458f73c89a999ad012e05fc15832\n"
						 "ENTENTE_EVENT=message/undelivered\nENTENTE_REASON=sip/timeout\nENTENTE_PARTNER=example.org\n"
						 "ENTENTE_WHAT_IF=a \"b\"\n");
	assert_string_equal(take(&j, j.stream[1]), "");
	journal_end(&j);
}

/* A peer that writes a newline, an escape sequence, a bidirectional override or bad UTF-8 makes neither a field nor a line of its own. */
static void test_journal_injection(void **state)
{
	struct journal j;
	(void)state;
	journal_begin(&j);
	assert_true(log_journal(j.path));
	log_ev(LOG_INFO, "test/injection", {"text", S("a\nPRIORITY=0\n\x1b[2J\xe2\x80\xae\xff\xc2\x9b")});
	assert_non_null(strstr(take(&j, j.datagram), "ENTENTE_TEXT=a\\x0aPRIORITY=0\\x0a\\x1b[2J\\u202e\\xff\\u009b\n"));
	assert_null(strstr(j.line, "\nPRIORITY=0"));
	for (const char *c = j.line; *c; c++)
		assert_true(*c == '\n' || (*c >= ' ' && *c < 0x7f));
	journal_end(&j);
}

/* More than fits: cut, and what is there is whole fields. */
static void test_journal_long(void **state)
{
	struct journal j;
	struct log_kv kv[40];
	char value[600];
	(void)state;
	memset(value, 1, sizeof value); /* four octets each when escaped */
	for (size_t i = 0; i < 40; i++)
		kv[i] = (struct log_kv){"key", slice_of(value, sizeof value)};
	journal_begin(&j);
	assert_true(log_journal(j.path));
	log_event(LOG_INFO, "test/long", kv, 40);
	take(&j, j.datagram);
	size_t n = strlen(j.line);
	assert_true(n > 4000 && n < sizeof j.line - 1 && j.line[n - 1] == '\n');
	assert_non_null(strstr(j.line, "\nENTENTE_EVENT=test/long\nENTENTE_KEY="));
	for (struct slice rest = slice_str(j.line); rest.len;)
		assert_true(slice_find_chr(slice_split(&rest, '\n'), '=') > 0);
	journal_end(&j);
}

/* Without journald's socket, and where the stream is another one's: lines. */
static void test_journal_absent(void **state)
{
	struct journal j;
	(void)state;
	journal_begin(&j);
	assert_true(log_journal("/nonexistent/socket"));
	log_ev(LOG_ERROR, "test/absent", {"a", S("b")});
	assert_string_equal(take(&j, j.stream[1]), "<3>error test/absent a=b\n");
	setenv("JOURNAL_STREAM", "1:1", 1);
	assert_false(log_journal(j.path));
	log_ev(LOG_ERROR, "test/foreign", {"a", S("b")});
	assert_non_null(strstr(take(&j, j.stream[1]), "Z error test/foreign a=b\n"));
	assert_string_equal(take(&j, j.datagram), "");
	journal_end(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_per_key), cmocka_unit_test(test_per_event),
					   cmocka_unit_test(test_line), cmocka_unit_test(test_journal),
					   cmocka_unit_test(test_journal_injection), cmocka_unit_test(test_journal_long),
					   cmocka_unit_test(test_journal_absent)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
