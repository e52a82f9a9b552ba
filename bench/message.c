/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of a run's messages, and what became of them. */
#include "load.h"

enum { REFUSALS_SHOWN = 3 };

static const char words[] = "Wherefore art thou? Shall we meet for lunch at noon, or walk along the river first? ";

struct slice load_text(const struct load *l, uint64_t seq, char dst[LOAD_BODY_MAX])
{
	size_t n = (size_t)snprintf(dst, LOAD_BODY_MAX, "%s.%llu ", l->run, (unsigned long long)seq);
	for (; n < l->body; n++)
		dst[n] = words[n % (sizeof words - 1)];
	return slice_of(dst, n);
}

bool load_text_seq(const struct load *l, struct slice text, uint64_t *ret)
{
	struct slice rest = text;
	return slice_eq(slice_split(&rest, '.'), slice_str(l->run)) && slice_u64(slice_split(&rest, ' '), UINT64_MAX, ret);
}

/* ---- marks */

void load_mark(struct load *l, uint64_t seq, uint8_t bit)
{
	if (track_mark(&l->track, seq, bit))
		l->completed(l);
}

void load_refused(struct load *l, uint64_t seq, struct slice what)
{
	if (l->refusals_shown++ < REFUSALS_SHOWN)
		fprintf(stderr, "load: refused: %.*s\n", SFMT(what));
	load_mark(l, seq, TRACK_FAILED);
}

const char *load_partner(const struct load *l, unsigned user)
{
	return l->n_partners ? l->partners[user % l->n_partners] : l->to_domain;
}
