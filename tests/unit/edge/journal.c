/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"

#include <pthread.h>
#include <stdio.h>
#include "base/log.h"

struct buf journal;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_log(void *arg, struct slice line)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	buf_put(&journal, line);
	pthread_mutex_unlock(&lock);
	if (getenv("SHOW_LOG"))
		fprintf(stderr, "%.*s", SFMT(line));
}

void journal_open(void)
{
	buf_init(&journal, 8 << 20);
	log_set_sink(on_log, NULL);
}

void journal_close(void)
{
	log_set_sink(NULL, NULL);
	buf_free(&journal);
}
