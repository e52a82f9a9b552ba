/* SPDX-License-Identifier: Apache-2.0 */
/* What other threads call: under the lock the index changes and something is queued for the thread; the disk is its matter. */
#include "journal/internal.h"

#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"

/* With the lock. */
static void wake(struct journal *j)
{
	pthread_cond_signal(&j->work);
}

static int room(struct journal *j, struct slice partner, size_t len)
{
	if (atomic_load(&j->closed))
		return ENTENTE_EIO;
	if (j->index.octets + len > j->opt.max || j->index.entries >= j->opt.entries_max || j->waiting + len > JOURNAL_WAITING_OCTETS)
		return ENTENTE_ELIMIT;
	if (j->opt.partner_max) {
		struct partner *p = index_partner(&j->index, partner);
		if ((p ? p->octets : 0) + len > j->opt.partner_max)
			return ENTENTE_ELIMIT;
	}
	return 0;
}

int journal_room(struct journal *j, struct slice partner, size_t octets)
{
	if (atomic_load(&j->closed))
		return ENTENTE_EIO;
	pthread_mutex_lock(&j->lock);
	int rc = room(j, partner, journal_record_len(partner.len, 0, octets));
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_put(struct journal *j, const struct journal_head *h, struct slice octets, journal_done *done, void *arg, uint64_t *ret_id)
{
	if (slice_empty(h->partner) || h->partner.len > JOURNAL_KEY_MAX || h->pair.len > JOURNAL_KEY_MAX || octets.len > JOURNAL_OCTETS_MAX)
		return ENTENTE_EINVAL;
	size_t len = journal_record_len(h->partner.len, h->pair.len, octets.len);
	if (len > j->opt.segment / 4)
		return ENTENTE_EINVAL;
	struct request *r = mem_realloc(NULL, sizeof *r + len);
	*r = (struct request){.due = h->lazy ? clock_ms() + j->opt.lazy_ms : 0, .done = done, .arg = arg, .len = len};
	pthread_mutex_lock(&j->lock);
	int rc = room(j, h->partner, len);
	if (rc) {
		j->stats.refused++;
		pthread_mutex_unlock(&j->lock);
		mem_free(r);
		return rc;
	}
	uint64_t id = r->id = j->index.next_id++;
	struct entry *e = r->e = index_add(&j->index, id, h->partner, (uint32_t)len, h->accepted_at);
	e->marks = h->marks;
	e->request = r;
	/* The record is written under the lock: its place in the queue is its id's, and one kibioctet takes less than a microsecond. */
	journal_record_write(r->rec, &(struct journal_record){.type = JOURNAL_PUT, .id = id, .head = *h, .octets = octets});
	j->waiting += len;
	j->n_urgent += !h->lazy;
	if (list_empty(&j->puts) || (!h->lazy && j->n_urgent == 1) || (j->waiting >= GROUP_OCTETS && j->waiting - len < GROUP_OCTETS))
		wake(j);
	list_append(&j->puts, &r->node);
	*ret_id = id; /* before the thread can complete it */
	pthread_mutex_unlock(&j->lock);
	return 0;
}

int journal_end(struct journal *j, uint64_t id)
{
	int rc = ENTENTE_ENOTFOUND;
	pthread_mutex_lock(&j->lock);
	struct entry *e = index_find(&j->index, id);
	if (e) {
		rc = 0;
		index_over(&j->index, e);
		if (!e->request) { /* else the thread sees it when it comes to the put */
			if (list_empty(&j->dirty))
				wake(j);
			writer_dirty(j, e);
		}
	}
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_mark(struct journal *j, uint64_t id, const struct journal_marks *m)
{
	int rc = ENTENTE_ENOTFOUND;
	pthread_mutex_lock(&j->lock);
	struct entry *e = index_find(&j->index, id);
	if (e) {
		rc = 0;
		e->marks = *m;
		if (!e->request) {
			if (list_empty(&j->dirty) || j->dirty_at)
				wake(j);
			j->dirty_at = 0; /* what is under way is to be known after a crash */
			writer_dirty(j, e);
		}
	}
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_read(struct journal *j, uint64_t id, journal_read_done *done, void *arg)
{
	int rc = 0;
	pthread_mutex_lock(&j->lock);
	if (!index_find(&j->index, id))
		rc = ENTENTE_ENOTFOUND;
	else if (j->n_reads >= JOURNAL_READS_MAX)
		rc = ENTENTE_ELIMIT;
	if (!rc) {
		struct read_request *r = MEM_NEW(struct read_request);
		r->id = id;
		r->done = done;
		r->arg = arg;
		list_append(&j->reads, &r->node);
		j->n_reads++;
		wake(j);
	}
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_flush(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	uint64_t mine = ++j->flush_wanted;
	wake(j);
	while (j->flushed < mine)
		pthread_cond_wait(&j->idle, &j->lock);
	bool failing = j->stats.failing;
	pthread_mutex_unlock(&j->lock);
	return failing ? ENTENTE_EIO : 0;
}

void journal_limits(struct journal *j, uint64_t max, uint64_t partner_max, uint64_t reserve, uint32_t entries_max)
{
	pthread_mutex_lock(&j->lock);
	j->opt.max = max ? max : (uint64_t)1 << 30;
	j->opt.partner_max = partner_max;
	j->opt.entries_max = entries_max ? entries_max : JOURNAL_ENTRIES_DEFAULT;
	pthread_mutex_unlock(&j->lock);
	atomic_store(&j->reserve, reserve);
}

void journal_stats(struct journal *j, struct journal_stats *ret)
{
	pthread_mutex_lock(&j->lock);
	*ret = j->stats;
	ret->entries = j->index.entries;
	ret->octets = j->index.octets;
	struct list *l = list_head(&j->index.order);
	ret->oldest = l ? CONTAINER_OF(l, struct entry, order)->accepted_at : 0;
	pthread_mutex_unlock(&j->lock);
}

void journal_partner(struct journal *j, struct slice partner, uint64_t *ret_entries, uint64_t *ret_octets)
{
	pthread_mutex_lock(&j->lock);
	struct partner *p = index_partner(&j->index, partner);
	*ret_entries = p ? p->entries : 0;
	*ret_octets = p ? p->octets : 0;
	pthread_mutex_unlock(&j->lock);
}

void journal_crashed(struct journal *j, int signal)
{
	char c = (char)signal;
	if (j && j->marker_fd >= 0 && pwrite(j->marker_fd, &c, 1, 0) != 1)
		return; /* nothing more can be done where we are */
}
