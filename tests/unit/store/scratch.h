/* SPDX-License-Identifier: Apache-2.0 */
/* A state directory of the test's own, and requests as plain calls. Include after cmocka.h. */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>
#include "store/store.h"

static char scratch[64];

static int scratch_make(void **state)
{
	(void)state;
	snprintf(scratch, sizeof scratch, "/tmp/entente-store-XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static int scratch_remove(void **state)
{
	(void)state;
	char path[400];
	DIR *d = opendir(scratch);
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof path, "%s/%s", scratch, e->d_name);
		unlink(path);
	}
	closedir(d);
	return rmdir(scratch);
}

static inline struct store *scratch_open(void)
{
	struct store *s = NULL;
	struct entente_err err = {0};
	if (store_open(&s, &(struct store_options){.directory = scratch}, &err))
		fail_msg("%s", err.text);
	return s;
}

/* The result of a queued request. */
#define WAIT(err, call) \
	({ \
		struct store_wait w_; \
		store_wait_init(&w_); \
		store_done *done = store_wait_done; \
		void *arg = &w_; \
		assert_int_equal(call, 0); \
		store_wait(&w_, err); \
	})
