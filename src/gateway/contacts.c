/* SPDX-License-Identifier: Apache-2.0 */
/* Who has whom as contact: learned from what local users do themselves (SUBSCRIBE, MESSAGE, INVITE), or set by an administrator; durable
 * (interworking spec 3.6). */
#include "base/mem.h"
#include "base/metric.h"
#include "gateway/gateway_int.h"

enum { MAX_CONTACTS = 1000000 };

bool contact_known(const struct gateway *g, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	return pair_key(&key, mem, local, remote) && map_find(&g->contacts, key);
}

bool gateway_knows_contact(const struct gateway *g, struct slice local, struct slice remote)
{
	return contact_known(g, local, remote);
}

void gateway_load_contact(struct gateway *g, struct slice local, struct slice remote)
{
	if (contact_known(g, local, remote))
		return;
	struct pair *p = MEM_NEW(struct pair);
	pair_init(p, local, remote);
	map_insert(&g->contacts, &p->node, slice_of(p->key, local.len + 1 + remote.len));
	tally_add(g, TALLY_CONTACTS, local);
}

void gateway_forget_contact(struct gateway *g, struct slice local, struct slice remote)
{
	char mem[PAIR_KEY_MAX];
	struct slice key;
	struct map_node *n = pair_key(&key, mem, local, remote) ? map_find(&g->contacts, key) : NULL;
	if (!n)
		return;
	struct pair *p = CONTAINER_OF(n, struct pair, node);
	map_remove(&g->contacts, n);
	tally_drop(g, TALLY_CONTACTS, p->local);
	mem_free(p->key);
	mem_free(p);
}

void contact_learn(struct gateway *g, struct slice local, struct slice remote, enum gateway_how how)
{
	if (contact_known(g, local, remote))
		return;
	if (g->contacts.count >= MAX_CONTACTS) {
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
	size_t i;
	MAP_EACH(n, &g->contacts, i) {
		struct pair *p = CONTAINER_OF(n, struct pair, node);
		mem_free(p->key);
		mem_free(p);
	}
	map_free(&g->contacts);
}
