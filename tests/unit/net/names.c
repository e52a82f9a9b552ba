/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"

enum { MAX = 256, FAILURES = 16, CNAME = 5 };

static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	int fd;
	char spec[64];
	bool silent;
	unsigned ttl;
	size_t n, n_asked, n_failures;
	struct {
		char name[128], data[256];
		unsigned type;
		size_t len;
	} records[MAX];
	struct {
		char name[128];
		int how;
	} failures[FAILURES];
	char asked[1024][128];
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .ttl = 1};

static void put16(struct buf *b, unsigned v)
{
	buf_putc(b, (char)(v >> 8));
	buf_putc(b, (char)v);
}

static void put_name(struct buf *b, struct slice rest)
{
	while (rest.len) {
		struct slice label = slice_split(&rest, '.');
		buf_putc(b, (char)label.len);
		buf_put(b, label);
	}
	buf_putc(b, 0);
}

/* Under the lock. Returns whether the name exists. */
static bool answers(struct buf *b, const char *name, unsigned type, unsigned *ret_n)
{
	bool exists = false;
	*ret_n = 0;
	for (size_t i = 0; i < server.n; i++) {
		if (strcmp(server.records[i].name, name))
			continue;
		exists = true;
		if (server.records[i].type != type && server.records[i].type != CNAME)
			continue;
		put16(b, 0xc00c); /* the name asked for */
		put16(b, server.records[i].type);
		put16(b, 1);
		put16(b, 0);
		put16(b, server.ttl);
		put16(b, (unsigned)server.records[i].len);
		buf_put(b, slice_of(server.records[i].data, server.records[i].len));
		++*ret_n;
	}
	return exists;
}

/* Under the lock. */
static int failure(const char *name, bool exists)
{
	for (size_t i = 0; i < server.n_failures; i++)
		if (!strcmp(server.failures[i].name, name))
			return server.failures[i].how;
	return server.silent ? NAMES_SILENT : exists ? 0 : 3;
}

static void reply(const unsigned char *q, size_t n, const struct sockaddr_in *from)
{
	char name[256] = "";
	size_t i = 12, o = 0;
	unsigned count;
	struct buf b;
	while (i < n && q[i] && o + q[i] + 1 < sizeof name) {
		if (o)
			name[o++] = '.';
		for (unsigned k = q[i], j = 1; j <= k; j++)
			name[o++] = (char)(q[i + j] >= 'A' && q[i + j] <= 'Z' ? q[i + j] + 32 : q[i + j]);
		i += q[i] + 1u;
	}
	i++;
	unsigned type = (unsigned)q[i] << 8 | q[i + 1];
	buf_init(&b, 65535);
	buf_put(&b, slice_of((const char *)q, i + 4));
	pthread_mutex_lock(&server.lock);
	if (server.n_asked < 1024)
		snprintf(server.asked[server.n_asked++], sizeof server.asked[0], "%.120s", name);
	bool exists = answers(&b, name, type, &count);
	int how = failure(name, exists);
	pthread_mutex_unlock(&server.lock);
	b.mem[b.off + 2] = (char)0x84;
	b.mem[b.off + 3] = (char)how;
	b.mem[b.off + 6] = (char)(count >> 8);
	b.mem[b.off + 7] = (char)count;
	memset(b.mem + b.off + 8, 0, 4);
	if (how != NAMES_SILENT)
		sendto(server.fd, b.mem + b.off, b.len, 0, (const struct sockaddr *)from, sizeof *from);
	buf_free(&b);
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		unsigned char q[1500];
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(server.fd, q, sizeof q, 0, (struct sockaddr *)&from, &len);
		if (n < 17)
			return NULL; /* an empty datagram ends it */
		reply(q, (size_t)n, &from);
	}
}

void names_start(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	server.fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&a, sizeof a), 0);
	getsockname(server.fd, (struct sockaddr *)&a, &len);
	snprintf(server.spec, sizeof server.spec, "127.0.0.1@%u", ntohs(a.sin_port));
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

void names_stop(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	getsockname(server.fd, (struct sockaddr *)&a, &len);
	sendto(server.fd, "", 0, 0, (struct sockaddr *)&a, sizeof a);
	pthread_join(server.thread, NULL);
	close(server.fd);
	names_clear();
}

const char *names_spec(void)
{
	return server.spec;
}

void names_clear(void)
{
	pthread_mutex_lock(&server.lock);
	server.n = server.n_asked = server.n_failures = 0;
	server.silent = false;
	pthread_mutex_unlock(&server.lock);
}

void names_record(const char *name, enum dns_type type, struct slice data)
{
	pthread_mutex_lock(&server.lock);
	assert_true(server.n < MAX && data.len <= sizeof server.records[0].data);
	snprintf(server.records[server.n].name, sizeof server.records[0].name, "%s", name);
	server.records[server.n].type = type;
	server.records[server.n].len = data.len;
	memcpy(server.records[server.n++].data, data.p, data.len);
	pthread_mutex_unlock(&server.lock);
}

void names_a(const char *name, const char *address)
{
	struct addr a;
	assert_true(addr_parse(slice_str(address), 0, &a));
	if (addr_is_v6(&a))
		names_record(name, DNS_AAAA, slice_of((const char *)a.v6.sin6_addr.s6_addr, 16));
	else
		names_record(name, DNS_A, slice_of((const char *)&a.v4.sin_addr, 4));
}

void names_srv(const char *name, unsigned priority, unsigned weight, unsigned port, const char *target)
{
	struct buf d;
	buf_init(&d, 256);
	put16(&d, priority);
	put16(&d, weight);
	put16(&d, port);
	put_name(&d, slice_str(target));
	names_record(name, DNS_SRV, buf_slice(&d));
	buf_free(&d);
}

void names_alias(const char *name, const char *target)
{
	struct buf d;
	buf_init(&d, 256);
	put_name(&d, slice_str(target));
	names_record(name, (enum dns_type)CNAME, buf_slice(&d));
	buf_free(&d);
}

void names_fail(const char *name, int how)
{
	pthread_mutex_lock(&server.lock);
	assert_true(server.n_failures < FAILURES);
	snprintf(server.failures[server.n_failures].name, sizeof server.failures[0].name, "%s", name);
	server.failures[server.n_failures++].how = how;
	pthread_mutex_unlock(&server.lock);
}

void names_ttl(unsigned seconds)
{
	pthread_mutex_lock(&server.lock);
	server.ttl = seconds;
	pthread_mutex_unlock(&server.lock);
}

void names_silent(bool on)
{
	pthread_mutex_lock(&server.lock);
	server.silent = on;
	pthread_mutex_unlock(&server.lock);
}

unsigned names_asked(const char *name)
{
	unsigned n = 0;
	pthread_mutex_lock(&server.lock);
	for (size_t i = 0; i < server.n_asked; i++)
		n += !strcmp(server.asked[i], name);
	pthread_mutex_unlock(&server.lock);
	return n;
}
