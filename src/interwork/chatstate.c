/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/chatstate.h"

#include "xmpp/ns.h"

static const char *const names[] = {"", "active", "composing", "paused", "inactive", "gone"};
enum { COUNT = sizeof names / sizeof *names };

enum chatstate chatstate_of(const struct xml_node *message)
{
	for (const struct xml_node *n = xml_first(message); n; n = xml_next(n))
		for (int i = 1; slice_eq(n->ns, XMPP_NS_CHATSTATES) && i < COUNT; i++)
			if (slice_eq(n->name, slice_str(names[i])))
				return (enum chatstate)i;
	return CHATSTATE_NONE;
}

struct slice chatstate_name(enum chatstate s)
{
	return slice_str(names[(unsigned)s < COUNT ? s : 0]);
}

void chatstate_put(struct buf *b, enum chatstate s)
{
	if (s == CHATSTATE_NONE)
		return;
	buf_putc(b, '<');
	buf_put(b, chatstate_name(s));
	buf_put(b, S(" xmlns='"));
	buf_put(b, XMPP_NS_CHATSTATES);
	buf_put(b, S("'/>"));
}
