/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
	if (!p) {
		fputs("entente: out of memory\n", stderr);
		abort();
	}
	return p;
}

enum { SMALL = 1024 };

/* glibc's calloc passes by what a thread has freed lately and keeps at hand. */
void *mem_calloc(size_t n, size_t size)
{
	if (n && size && n <= SMALL && n * size <= SMALL && size <= SMALL) {
		void *p = checked(malloc(n * size));
		__asm__("" : "+r"(p)); /* or the compiler makes a calloc of the two again */
		return memset(p, 0, n * size);
	}
	return checked(calloc(n ? n : 1, size ? size : 1));
}

void *mem_realloc(void *p, size_t size)
{
	return checked(realloc(p, size ? size : 1));
}

void *mem_free(void *p)
{
	free(p);
	return NULL;
}

char *mem_strndup(const char *p, size_t n)
{
	char *z = checked(malloc(n + 1));
	if (n)
		memcpy(z, p, n);
	z[n] = '\0';
	return z;
}
