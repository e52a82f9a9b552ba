/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counts.h"

#include "base/mem.h"

enum { CAP_MIN = 64 };

void counts_free(struct counts *c)
{
	mem_free(c->marks);
	mem_free(c->numbers);
	*c = (struct counts){0};
}

static uint64_t real(uint64_t mark)
{
	return mark ? mark : 1;
}

/* Where the mark is, or the free place where it would be. */
static size_t place_of(const struct counts *c, uint64_t mark)
{
	size_t i = mark & (c->cap - 1);
	while (c->marks[i] && c->marks[i] != mark)
		i = (i + 1) & (c->cap - 1);
	return i;
}

uint32_t counts_get(const struct counts *c, uint64_t mark)
{
	return c->n ? c->numbers[place_of(c, real(mark))] : 0;
}

static void resize(struct counts *c, size_t cap)
{
	struct counts old = *c;
	c->cap = cap;
	c->marks = mem_calloc(cap, sizeof *c->marks);
	c->numbers = mem_calloc(cap, sizeof *c->numbers);
	for (size_t i = 0; i < old.cap; i++)
		if (old.marks[i]) {
			size_t to = place_of(c, old.marks[i]);
			c->marks[to] = old.marks[i];
			c->numbers[to] = old.numbers[i];
		}
	mem_free(old.marks);
	mem_free(old.numbers);
}

/* Those behind it close up, so that none is ever behind a gap. */
static void take_out(struct counts *c, size_t i)
{
	size_t mask = c->cap - 1;
	for (size_t j = (i + 1) & mask; c->marks[j]; j = (j + 1) & mask)
		if (((j - c->marks[j]) & mask) >= ((j - i) & mask)) { /* it may stand at i: that is not before its own place */
			c->marks[i] = c->marks[j];
			c->numbers[i] = c->numbers[j];
			i = j;
		}
	c->marks[i] = 0;
	c->numbers[i] = 0;
	c->n--;
}

void counts_set(struct counts *c, uint64_t mark, uint32_t number)
{
	mark = real(mark);
	if (number && (c->n + 1) * 5 > c->cap * 4)
		resize(c, c->cap ? 2 * c->cap : CAP_MIN);
	if (!c->cap)
		return;
	size_t i = place_of(c, mark);
	if (number) {
		c->n += !c->marks[i];
		c->marks[i] = mark;
		c->numbers[i] = number;
	} else if (c->marks[i]) {
		take_out(c, i);
		if (c->cap > CAP_MIN && c->n * 8 < c->cap)
			resize(c, c->cap / 2);
	}
}
