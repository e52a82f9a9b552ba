/* SPDX-License-Identifier: Apache-2.0 */
/* Who has whom as contact: learned from what local users do themselves (SUBSCRIBE, MESSAGE, INVITE), or set by an administrator; durable
 * (interworking spec 3.6). The names are in the database; here is a mark of each pair, of 64 bits and another 32, since somebody who is taken for
 * a contact may be let in. */
#include "base/metric.h"
#include "gateway/gateway_int.h"

enum { MAX_CONTACTS = 1000000 };

struct mark {
	uint64_t mark;
	uint32_t check; /* never 0 */
};

static bool mark_of(struct mark *ret, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	if (!pair_key(&key, mem, local, remote))
		return false;
	ret->mark = hash_slice(key);
	/* the same hash, under the same key, of another text */
	mem[local.len] = '\1';
	ret->check = (uint32_t)hash_slice(key) | 1;
	return true;
}

bool contact_known(const struct gateway *g, struct slice local, struct slice remote)
{
	struct mark m;
	return g->contacts.n && mark_of(&m, local, remote) && counts_get(&g->contacts, m.mark) == m.check;
}

bool gateway_knows_contact(const struct gateway *g, struct slice local, struct slice remote)
{
	return contact_known(g, local, remote);
}

void gateway_load_contact(struct gateway *g, struct slice local, struct slice remote)
{
	struct mark m;
	if (!mark_of(&m, local, remote) || counts_get(&g->contacts, m.mark) == m.check)
		return;
	counts_set(&g->contacts, m.mark, m.check);
	tally_add(g, TALLY_CONTACTS, local);
}

void gateway_forget_contact(struct gateway *g, struct slice local, struct slice remote)
{
	struct mark m;
	if (!mark_of(&m, local, remote) || counts_get(&g->contacts, m.mark) != m.check)
		return;
	counts_set(&g->contacts, m.mark, 0);
	tally_drop(g, TALLY_CONTACTS, local);
}

void contact_learn(struct gateway *g, struct slice local, struct slice remote, enum gateway_how how)
{
	if (contact_known(g, local, remote))
		return;
	if (g->contacts.n >= MAX_CONTACTS) {
		metric_add(METRIC_LIMIT_HITS, 1);
		return;
	}
	if (tally_full(g, TALLY_CONTACTS, local, g->cfg.max_contacts_per_user))
		return;
	gateway_load_contact(g, local, remote);
	g->ops->contact_put(g->arg, local, remote, how);
}

void contacts_free(struct gateway *g)
{
	counts_free(&g->contacts);
}
