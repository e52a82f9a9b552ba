/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/ack_window.h"

#include "base/mem.h"

enum { WORD = 64 };

static uint64_t *bits(struct ack_window *w)
{
	return w->n_bits > WORD ? w->more : &w->first;
}

static uint64_t *word_of(struct ack_window *w, uint64_t number)
{
	return bits(w) + (number & (w->n_bits - 1)) / WORD;
}

static bool get(struct ack_window *w, uint64_t number)
{
	return *word_of(w, number) >> number % WORD & 1;
}

static void put(struct ack_window *w, uint64_t number, bool on)
{
	uint64_t bit = UINT64_C(1) << number % WORD;
	if (on)
		*word_of(w, number) |= bit;
	else
		*word_of(w, number) &= ~bit;
}

/* Words keep their order, so that only the place of each changes. */
static void grow(struct ack_window *w)
{
	struct ack_window old = *w;
	w->n_bits = w->n_bits ? w->n_bits * 2 : WORD;
	if (w->n_bits == WORD)
		return;
	w->more = mem_calloc(w->n_bits / WORD, sizeof *w->more);
	for (uint64_t n = old.done + 1; n <= old.top; n++)
		if (get(&old, n))
			put(w, n, true);
	mem_free(old.more);
}

/* Nothing is pending: the memory of a busy hour is not kept. */
static void rest(struct ack_window *w)
{
	w->more = mem_free(w->more);
	w->n_bits = 0;
	w->first = 0;
}

uint64_t ack_window_add(struct ack_window *w, uint64_t max)
{
	if (ack_window_span(w) >= max)
		return 0;
	if (ack_window_span(w) >= w->n_bits)
		grow(w);
	w->pending++;
	return ++w->top;
}

bool ack_window_done(struct ack_window *w, uint64_t number)
{
	uint64_t before = w->done;
	if (number <= w->done || number > w->top || get(w, number))
		return false;
	put(w, number, true);
	w->pending--;
	while (w->done < w->top && get(w, w->done + 1))
		put(w, ++w->done, false);
	if (w->done == w->top && w->n_bits > WORD)
		rest(w);
	return w->done != before;
}

void ack_window_free(struct ack_window *w)
{
	rest(w);
}
