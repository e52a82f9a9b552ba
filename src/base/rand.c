/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static _Thread_local unsigned char pool[512];
static _Thread_local size_t left;

static void from_kernel(void *p, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = getrandom((char *)p + got, n - got, 0);
		if (r < 0) {
			perror("entente: getrandom");
			abort();
		}
		got += (size_t)r;
	}
}

/* A child must not give what its parent gives. */
static void forget(void)
{
	explicit_bzero(pool, sizeof pool);
	left = 0;
}

__attribute__((constructor)) static void at_fork(void)
{
	pthread_atfork(NULL, NULL, forget);
}

void rand_bytes(void *p, size_t n)
{
	if (n > sizeof pool) {
		from_kernel(p, n);
		return;
	}
	if (left < n) {
		from_kernel(pool, sizeof pool);
		left = sizeof pool;
	}
	left -= n;
	memcpy(p, pool + left, n);
	explicit_bzero(pool + left, n);
}

uint64_t rand_u64(void)
{
	uint64_t v;
	rand_bytes(&v, sizeof v);
	return v;
}

uint64_t rand_below(uint64_t n)
{
	uint64_t cut = UINT64_MAX - UINT64_MAX % n, v;
	do
		v = rand_u64();
	while (v >= cut);
	return v % n;
}

void rand_token(char *dst, size_t n)
{
	static const char set[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	enum { DIGITS = 12 };                          /* base 36 digits in one draw */
	const uint64_t span = 4738381338321616896ULL; /* 36^12 */
	for (size_t i = 0; i < n;) {
		uint64_t v = rand_below(span);
		for (size_t k = 0; k < DIGITS && i < n; k++, v /= 36)
			dst[i++] = set[v % 36];
	}
	dst[n] = '\0';
}
