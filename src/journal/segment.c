/* SPDX-License-Identifier: Apache-2.0 */
/* Segment files: 16 hex digits and ".journal". The next one is prepared as the file "spare": its blocks are there and written before it is used, so that
 * a full disk is met in time and a sync has no allocation to carry along. Segments are given up at the old end alone; the file then becomes the spare. */
#include "journal/internal.h"

#include <errno.h>
#include <fcntl.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"

#define SPARE "spare"

void segment_name(char dst[SEGMENT_NAME], uint64_t number)
{
	snprintf(dst, SEGMENT_NAME, "%016llx.journal", (unsigned long long)number);
}

struct segment *segment_add(struct journal *j, uint64_t number)
{
	struct segment *s = MEM_NEW(struct segment);
	s->number = number;
	list_init(&s->live);
	list_append(&j->segments, &s->node);
	j->n_segments++;
	return s;
}

void segment_drop(struct journal *j, struct segment *s)
{
	j->files -= s->size;
	j->n_segments--;
	list_remove(&s->node);
	mem_free(s);
}

int segment_pwrite(struct journal *j, int fd, const char *p, size_t n, uint64_t at)
{
	while (n) {
		ssize_t w = j->io->pwrite(fd, p, n, (off_t)at);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			errno = w ? errno : ENOSPC;
			return -1;
		}
		p += w;
		n -= (size_t)w;
		at += (size_t)w;
	}
	return 0;
}

ssize_t segment_pread(struct journal *j, struct segment *s, char *p, size_t n, uint64_t at)
{
	int fd = j->active_fd;
	if (s != j->active) {
		if (j->read_number != s->number) {
			char name[SEGMENT_NAME];
			if (j->read_fd >= 0)
				j->io->close(j->read_fd);
			j->read_number = 0;
			segment_name(name, s->number);
			j->read_fd = j->io->openat(j->dir, name, O_RDONLY, 0);
			if (j->read_fd < 0)
				return -1;
			j->read_number = s->number;
		}
		fd = j->read_fd;
	}
	size_t got = 0;
	while (got < n) {
		ssize_t r = j->io->pread(fd, p + got, n - got, (off_t)(at + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (!r)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* ---- the spare ---- */
static int spare_give_up(struct journal *j)
{
	int e = errno;
	j->io->close(j->spare_fd);
	j->io->unlinkat(j->dir, SPARE);
	j->spare_fd = -1;
	j->files -= j->spare_size;
	j->spare_size = j->spare_filled = 0;
	errno = e;
	return -1;
}

static bool touches_reserve(struct journal *j, uint64_t n)
{
	uint64_t space, total, keep = atomic_load(&j->reserve);
	if (j->io->free_space(j->dir, &space, &total) != 0)
		return false; /* it will be seen when it is written */
	if (keep == UINT64_MAX)
		keep = total / 20 < 256u << 20 ? total / 20 : 256u << 20;
	return space < keep || space - keep < n;
}

static int spare_begin(struct journal *j)
{
	uint32_t size = j->opt.segment;
	if (touches_reserve(j, size)) {
		errno = ENOSPC;
		return -1;
	}
	j->io->unlinkat(j->dir, SPARE);
	j->spare_fd = j->io->openat(j->dir, SPARE, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (j->spare_fd < 0)
		return -1;
	j->spare_size = size;
	j->spare_filled = 0;
	j->files += size;
	if (j->io->fallocate(j->spare_fd, size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		return spare_give_up(j);
	return 0;
}

int segment_spare_step(struct journal *j)
{
	static const char zeros[SEGMENT_STEP];
	if (segment_spare_ready(j))
		return 1;
	if (j->spare_fd < 0)
		return spare_begin(j);
	size_t n = j->spare_size - j->spare_filled;
	n = n < SEGMENT_STEP ? n : SEGMENT_STEP;
	if (segment_pwrite(j, j->spare_fd, zeros, n, j->spare_filled) != 0)
		return spare_give_up(j);
	if (j->spare_filled + n == j->spare_size && j->io->fdatasync(j->spare_fd) != 0)
		return spare_give_up(j);
	j->spare_filled += (uint32_t)n;
	return segment_spare_ready(j);
}

bool segment_spare_ready(const struct journal *j)
{
	return j->spare_fd >= 0 && j->spare_filled == j->spare_size;
}

/* ---- the active segment ---- */
int segment_activate(struct journal *j)
{
	char head[JOURNAL_SEGMENT_HEAD], name[SEGMENT_NAME];
	pthread_mutex_lock(&j->lock);
	uint64_t next_id = j->index.next_id;
	pthread_mutex_unlock(&j->lock);
	uint64_t nonce = rand_u64() ^ j->next_number * 0x9e3779b97f4a7c15; /* never that of an older use of the file */
	struct journal_segment_head h = {JOURNAL_VERSION, j->spare_size, j->next_number, nonce, next_id, clock_unix()};
	journal_segment_head_write(head, &h);
	if (segment_pwrite(j, j->spare_fd, head, sizeof head, 0) != 0 || j->io->fdatasync(j->spare_fd) != 0)
		return spare_give_up(j);
	segment_name(name, h.number);
	if (j->io->renameat(j->dir, SPARE, name) != 0)
		return spare_give_up(j);
	j->next_number++;
	if (j->io->fsync(j->dir) != 0) {
		spare_give_up(j);
		int e = errno;
		j->io->unlinkat(j->dir, name);
		errno = e;
		return -1;
	}
	j->files -= j->spare_size; /* it counts as a segment from now on */
	j->active = segment_add(j, h.number);
	j->active->nonce = h.nonce;
	j->active->size = j->spare_size;
	j->files += j->active->size;
	j->active->used = j->active->synced = JOURNAL_SEGMENT_HEAD;
	j->active_fd = j->spare_fd;
	j->spare_fd = -1;
	j->spare_size = j->spare_filled = 0;
	return 0;
}

static void leave(struct journal *j)
{
	j->io->close(j->active_fd);
	j->active_fd = -1;
	j->active = NULL;
}

int segment_seal(struct journal *j)
{
	struct segment *s = j->active;
	char rec[JOURNAL_RECORD_HEAD];
	journal_record_write(rec, &(struct journal_record){.type = JOURNAL_SEAL});
	journal_record_finish(rec, s->nonce, s->used, &(struct journal_marks){0});
	if (segment_pwrite(j, j->active_fd, rec, sizeof rec, s->used) != 0 || j->io->fdatasync(j->active_fd) != 0)
		return -1;
	s->used += sizeof rec;
	s->synced = s->used;
	leave(j);
	return 0;
}

void segment_abandon(struct journal *j)
{
	struct segment *s = j->active;
	/* what stands behind `used` was refused; also gives the space back. If it cannot be cut off, the ends that follow say so. */
	if (j->io->ftruncate(j->active_fd, s->used) == 0) {
		j->files -= s->size - s->used;
		s->size = s->used;
	}
	leave(j);
}

/* ---- the old end ---- */
static int remove_oldest(struct journal *j, struct segment *s)
{
	char name[SEGMENT_NAME], aside[SEGMENT_NAME + 16];
	segment_name(name, s->number);
	if (j->read_number == s->number) {
		j->io->close(j->read_fd);
		j->read_fd = -1;
		j->read_number = 0;
	}
	if (s->damaged) {
		snprintf(aside, sizeof aside, "%s.damaged", name);
		return j->io->renameat(j->dir, name, aside) == 0 || errno == ENOENT ? 0 : -1;
	}
	if (j->spare_fd < 0 && s->size == j->opt.segment) {
		int fd = j->io->openat(j->dir, name, O_RDWR, 0);
		if (fd >= 0 && j->io->renameat(j->dir, name, SPARE) == 0) {
			j->spare_fd = fd;
			j->spare_size = j->spare_filled = s->size;
			j->files += s->size;
			return 0;
		}
		if (fd >= 0)
			j->io->close(fd);
	}
	return j->io->unlinkat(j->dir, name) == 0 || errno == ENOENT ? 0 : -1; /* ENOENT: it was done, but the sync after it failed */
}

struct segment *segment_over(struct journal *j)
{
	struct list *l = list_head(&j->segments);
	struct segment *s = l ? CONTAINER_OF(l, struct segment, node) : NULL;
	return s && s != j->active && list_empty(&s->live) ? s : NULL;
}

bool segment_retire(struct journal *j)
{
	struct segment *s = segment_over(j);
	if (!s)
		return false;
	/* One at a time, and durable before the next: an old segment must not come back when the ends of its entries are gone with a later one. */
	if (remove_oldest(j, s) != 0 || j->io->fsync(j->dir) != 0)
		return false;
	segment_drop(j, s);
	return true;
}
