/* SPDX-License-Identifier: Apache-2.0 */
#include "app/starts.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include "base/clock.h"
#include "base/log.h"
#include "net/kept.h"

static struct starts *starts; /* NULL: nobody starts us again */

uint64_t starts_judge(struct starts *s, uint64_t now)
{
	uint64_t wait = 0;
	s->quick = s->began && now < s->began + STARTS_QUICK_MS ? s->quick + 1 : 0;
	if (s->quick > STARTS_FREE) {
		uint64_t doubled = s->quick - STARTS_FREE - 1;
		wait = doubled > 10 || STARTS_FIRST_MS << doubled > STARTS_MOST_MS ? STARTS_MOST_MS : STARTS_FIRST_MS << doubled;
	}
	s->began = now + wait;
	return wait;
}

bool starts_begin(void)
{
	starts = kept_memory("starts", sizeof *starts);
	uint64_t wait = starts ? starts_judge(starts, clock_ms()) : 0;
	char times[24], seconds[24];
	sigset_t ends, old;
	if (!wait)
		return true;
	snprintf(times, sizeof times, "%llu", (unsigned long long)starts->quick);
	snprintf(seconds, sizeof seconds, "%.1f", (double)wait / 1000);
	log_ev(LOG_ERROR, "server/keeps-dying", {"times", slice_str(times)}, {"wait", slice_str(seconds)},
	       {"text", S("it has died so many times within seconds of its start: the next try is in `wait` seconds; look above for why")});
	sd_notifyf(0, "STATUS=it has died %s times within seconds of its start: waiting for %s s\nEXTEND_TIMEOUT_USEC=%llu", times, seconds,
		   (unsigned long long)(wait + 60000) * 1000);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP); /* something was mended: at once */
	sigprocmask(SIG_BLOCK, &ends, &old);
	struct timespec left = {(time_t)(wait / 1000), (long)(wait % 1000) * 1000000};
	int signo = sigtimedwait(&ends, NULL, &left);
	bool asked = signo == SIGTERM || signo == SIGINT;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (asked)
		starts_planned_end();
	return !asked;
}

void starts_planned_end(void)
{
	if (starts)
		starts->began = starts->quick = 0;
}

bool starts_found_sound(const char *path)
{
	struct stat s;
	return starts && stat(path, &s) == 0 && starts->database[0] == s.st_dev && starts->database[1] == s.st_ino;
}

void starts_note_sound(const char *path)
{
	struct stat s;
	if (starts && stat(path, &s) == 0) {
		starts->database[0] = s.st_dev;
		starts->database[1] = s.st_ino;
	}
}
