/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/path.h"
#include "base/rand.h"
#include "base/reason.h"
#include "base/timer.h"

#define EQ(s, lit) assert_true(slice_eq((s), S(lit)))

static void slices(void **state)
{
	(void)state;
	struct slice rest = S("a;b;;c"), v;
	uint64_t n = 7;
	char z[4];
	EQ(slice_split(&rest, ';'), "a");
	EQ(slice_split(&rest, ';'), "b");
	EQ(slice_split(&rest, ';'), "");
	v = slice_split(&rest, ';');
	EQ(v, "c");
	assert_null(rest.p);
	EQ(slice_trim(S(" \t x y\r\n")), "x y");
	assert_true(slice_ieq(S("ABCz"), S("abcZ")));
	assert_false(slice_ieq(S("ab"), S("abc")));
	assert_int_equal(slice_find(S("hello"), S("ll")), 2);
	assert_int_equal(slice_find(S("hello"), S("lo!")), -1);
	assert_true(slice_cmp(S("a"), S("ab")) < 0);
	assert_true(slice_u64(S("42"), 100, &n) && n == 42);
	assert_false(slice_u64(S("101"), 100, &n));
	assert_false(slice_u64(S("18446744073709551616"), UINT64_MAX, &n));
	assert_false(slice_u64(S("-1"), 100, &n));
	assert_false(slice_u64(S(""), 100, &n));
	assert_int_equal(n, 42);
	assert_false(slice_cstr(S("long"), z, sizeof z));
	assert_string_equal(z, "lon");
}

static void arenas(void **state)
{
	(void)state;
	struct arena_pool *pool = arena_pool_new(100000, 1);
	struct arena *a = arena_acquire(pool), *b = arena_acquire(pool);
	char *p = arena_alloc(a, 40000);
	assert_non_null(p);
	for (int i = 0; i < 40000; i++)
		assert_int_equal(p[i], 0);
	assert_null(arena_alloc(a, 90000));
	arena_pool_set_max(pool, 200000); /* counts from the next one on */
	assert_null(arena_alloc(a, 90000));
	struct arena *larger = arena_acquire(pool);
	assert_non_null(arena_alloc(larger, 90000));
	arena_release(NULL, larger);
	assert_int_equal((uintptr_t)arena_alloc(a, 3) % 16, 0);
	struct slice s = arena_printf(a, "%s-%d", "x", 7);
	EQ(s, "x-7");
	assert_int_equal(s.p[s.len], 0);
	assert_null(arena_dup(a, slice_of("x", SIZE_MAX)).p);
	s = ARENA_JOIN(a, S("a"), SLICE_NONE, S(": "), S("b"));
	EQ(s, "a: b");
	assert_int_equal(s.p[s.len], 0);
	EQ(arena_u64(a, 0), "0");
	EQ(arena_u64(a, UINT64_MAX), "18446744073709551615");
	for (int i = 0; i < 1500; i++) { /* over the end of a block, too */
		s = arena_printf(a, "%d %s", i, "0123456789");
		assert_true(s.p[s.len] == 0 && slice_ends(s, S(" 0123456789")));
	}
	EQ(s, "1499 0123456789");
	arena_release(pool, a);
	arena_release(pool, b); /* the pool keeps one, frees the other */
	assert_ptr_equal(arena_acquire(pool), a);
	assert_int_equal(arena_used(a), 0);
	arena_release(NULL, a);
	arena_pool_free(pool);
}

static void bufs(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 20);
	buf_puts(&b, "0123456789");
	buf_consume(&b, 4);
	buf_u64(&b, 12345);
	buf_printf(&b, "%c", 'x');
	EQ(buf_slice(&b), "45678912345x");
	buf_printf(&b, "%s", "1234567"); /* with its NUL exactly the limit */
	EQ(buf_slice(&b), "45678912345x1234567");
	buf_printf(&b, "%s", "8");
	assert_false(buf_ok(&b));
	EQ(buf_slice(&b), "45678912345x1234567");
	b.failed = false;
	buf_truncate(&b, 12);
	buf_puts(&b, "more than fits");
	assert_false(buf_ok(&b));
	EQ(buf_slice(&b), "45678912345x"); /* what did not fit left nothing behind */
	buf_puts(&b, "y");
	EQ(buf_slice(&b), "45678912345x");
	buf_clear(&b);
	assert_true(buf_ok(&b));
	buf_u64(&b, 0);
	EQ(buf_slice(&b), "0");
	buf_free(&b);
}

struct item {
	struct map_node node;
	char key[16];
};

static void maps(void **state)
{
	(void)state;
	enum { N = 1000 };
	static struct item items[N];
	struct map m;
	size_t i, seen = 0;
	map_init(&m);
	assert_null(map_find(&m, S("x")));
	for (i = 0; i < N; i++) {
		snprintf(items[i].key, sizeof items[i].key, "key%zu", i);
		map_insert(&m, &items[i].node, slice_str(items[i].key));
	}
	for (i = 0; i < N; i++)
		assert_ptr_equal(map_find(&m, slice_str(items[i].key)), &items[i].node);
	MAP_EACH(n, &m, i) {
		seen++;
		map_remove(&m, n);
	}
	assert_int_equal(seen, N);
	assert_int_equal(m.count, 0);
	map_free(&m);
	assert_true(hash_slice_nocase(S("Example.NET")) == hash_slice_nocase(S("example.net")));
	assert_true(hash_slice(S("a")) != hash_slice(S("b")));
}

static struct timers queue;
static struct timer ts[200];
static uint64_t last;
static int fired;

static void on_timer(struct timer *t, uint64_t now)
{
	assert_true(t->due <= now);
	assert_true(t->due >= last);
	last = t->due;
	fired++;
	if (t == &ts[0] && fired < 5000)
		timer_arm(&queue, t, 0); /* must not keep the run from ending */
}

static void timers(void **state)
{
	(void)state;
	timers_init(&queue, 1000);
	for (int i = 0; i < 200; i++) {
		timer_init(&ts[i], on_timer);
		timer_arm(&queue, &ts[i], rand_below(500));
	}
	for (int i = 100; i < 200; i++)
		timer_cancel(&queue, &ts[i]);
	assert_false(timer_armed(&ts[150]));
	timer_cancel(&queue, &ts[150]);
	assert_true(timers_next(&queue) >= 1000);
	timers_run(&queue, 1600);
	assert_true(fired >= 100 && fired < 5000);
	assert_int_equal(timers_next(&queue), 1600);
	timer_cancel(&queue, &ts[0]);
	assert_true(timers_next(&queue) == TIMER_NEVER);
	timers_set_now(&queue, 5);
	assert_int_equal(queue.now, 1600);
	timers_free(&queue);
}

static void encodings(void **state)
{
	(void)state;
	struct buf b;
	uint32_t cp;
	char u[4];
	assert_true(utf8_valid(S("j\xc3\xbcrgen \xf0\x9f\x98\x80")));
	assert_false(utf8_valid(S("\xc3\x28")));
	assert_false(utf8_valid(S("\xc0\x80")));
	assert_false(utf8_valid(S("\xed\xa0\x80")));
	assert_false(utf8_valid(S("\xf4\x90\x80\x80")));
	assert_int_equal(utf8_decode(S("\xe2\x82\xac"), &cp), 3);
	assert_int_equal(cp, 0x20ac);
	assert_int_equal(utf8_encode(0x1f600, u), 4);
	assert_int_equal(utf8_encode(0xd800, u), 0);
	EQ(utf8_first(S("a\xc3\xbc"), 2), "a");
	assert_true(utf8_has_control(S("a\x7f")));
	assert_true(utf8_has_control(S("\xc2\x85")));
	assert_false(utf8_has_control(S("\xc2\xa0")));
	buf_init(&b, 100);
	base64_put(&b, S("romeo"));
	EQ(buf_slice(&b), "cm9tZW8=");
	buf_clear(&b);
	assert_true(base64_get(&b, S("cm9tZW8=")));
	EQ(buf_slice(&b), "romeo");
	assert_false(base64_get(&b, S("cm9=ZW8=")));
	assert_false(base64_get(&b, S("cm9")));
	buf_free(&b);
}

static void line(void *arg, struct slice s)
{
	slice_cstr(s, arg, 400);
}

static void logs(void **state)
{
	(void)state;
	char got[400] = "";
	log_set_sink(line, got);
	log_ev(LOG_INFO, "test/event", {"plain", S("a.b")}, {"empty", S("")}, {"quoted", S("a \"b\"\n=")});
	assert_non_null(strstr(got, " info test/event plain=a.b quoted=\"a \\\"b\\\"\\x0a=\"\n"));
	log_ev(LOG_INFO, "test/hostile", {"k", S("\xc2\x9b" "31m\xe2\x80\xae\xff\xc3\xbc")});
	assert_non_null(strstr(got, " k=\"\\u009b31m\\u202e\\xff\xc3\xbc\"\n"));
	got[0] = '\0';
	log_ev(LOG_DEBUG, "test/quiet", {"k", S("v")});
	assert_string_equal(got, "");
	log_set_sink(NULL, NULL);
}

static void tables(void **state)
{
	(void)state;
	static const char *const types[] = {"auth", "cancel", "continue", "modify", "wait"};
	for (int i = 0; i < REASON_COUNT; i++) {
		const struct reason_info *r = reason_info((enum reason)i);
		bool known = false;
		for (int k = 0; k < 5; k++)
			known = known || !strcmp(r->xmpp_type, types[k]);
		assert_true(known);
		assert_true(r->sip_status >= 200 && r->sip_status < 700);
		if (i)
			assert_non_null(strchr(r->id, '/'));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(reason_info((enum reason)k)->id, r->id);
	}
	assert_ptr_equal(reason_info((enum reason)9999), reason_info(REASON_NONE));
	metric_add(METRIC_LIMIT_HITS, 3);
	metric_add(METRIC_LIMIT_HITS, -1);
	assert_int_equal(metric_get(METRIC_LIMIT_HITS), 2);
	metric_refused(REASON_LIMIT_RATE);
	assert_int_equal(metric_refused_get(REASON_LIMIT_RATE), 1);
	struct entente_err e;
	assert_int_equal(err_set(&e, ENTENTE_ENET, REASON_XMPP_DNS, "no %s", "way"), ENTENTE_ENET);
	assert_string_equal(e.text, "no way");
	assert_string_not_equal(entente_strerror(ENTENTE_EIO), entente_strerror(12345));
}

static void times(void **state)
{
	(void)state;
	char z[CLOCK_TEXT];
	clock_text_at(1795271706, z);
	assert_string_equal(z, "2026-11-21T14:35:06Z");
	char t[9];
	rand_token(t, 8);
	assert_int_equal(strlen(t), 8);
}

/* A child of fork does not give the numbers that its parent gives. */
static void rand_after_fork(void **state)
{
	(void)state;
	uint64_t ours, theirs = 0;
	int fd[2];
	rand_u64(); /* something is left in the buffer */
	assert_int_equal(pipe(fd), 0);
	pid_t pid = fork();
	if (!pid) {
		theirs = rand_u64();
		_exit(write(fd[1], &theirs, sizeof theirs) != sizeof theirs);
	}
	ours = rand_u64();
	assert_int_equal(read(fd[0], &theirs, sizeof theirs), sizeof theirs);
	assert_true(ours != theirs);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(fd[0]);
	close(fd[1]);
}

static void wide_paths(void **state)
{
	static const char *const wide[] = {"/", "/etc", "/etc/", "//etc", "/./etc", "/etc/.", "/home/ute", "//home/ute", "/./home//ute/.", "etc", "etc/entente/keys", ""};
	static const char *const narrow[] = {"/etc/entente", "/etc/entente/", "/home/ute/edge", "/srv/home", "/homes/ute", "/srv/a/b"};
	(void)state;
	for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
		assert_true(path_is_wide(wide[i]));
	for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
		assert_false(path_is_wide(narrow[i]));
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(slices), cmocka_unit_test(arenas), cmocka_unit_test(bufs), cmocka_unit_test(maps), cmocka_unit_test(timers),
		cmocka_unit_test(encodings), cmocka_unit_test(logs), cmocka_unit_test(tables), cmocka_unit_test(times), cmocka_unit_test(rand_after_fork),
		cmocka_unit_test(wide_paths),
	};
	return cmocka_run_group_tests(t, NULL, NULL);
}
