/* SPDX-License-Identifier: Apache-2.0 */
/* What local users are called: the home says it in the From of their requests, and vCards of partners' users show it (XEP-0054). Not
 * durable: the next request tells it again. */
#include "base/mem.h"
#include "gateway/gateway_int.h"

enum { NAMES_MAX = 20000, NAME_LEN = 128 };

struct name {
	struct map_node node; /* key: the user's bare address, behind this struct */
	char text[NAME_LEN + 1];
	char key[];
};

static struct name *find(const struct gateway *g, struct slice user)
{
	struct map_node *n = map_find(&g->names, user);
	return n ? CONTAINER_OF(n, struct name, node) : NULL;
}

/* A display name without quotes and pairs (RFC 3261 25.1). False: nothing to show, or more than a name. */
static bool plain(char dst[NAME_LEN + 1], struct slice display)
{
	size_t n = 0;
	bool quoted = display.len >= 2 && display.p[0] == '"';
	if (quoted)
		display = slice_of(display.p + 1, display.len - 2);
	for (size_t i = 0; i < display.len; i++) {
		if (quoted && display.p[i] == '\\' && i + 1 < display.len)
			i++;
		if (n == NAME_LEN)
			return false;
		dst[n++] = display.p[i];
	}
	struct slice s = slice_trim(slice_of(dst, n));
	if (!s.len || !xml_text_legal(s))
		return false;
	memmove(dst, s.p, s.len);
	dst[s.len] = '\0';
	return true;
}

void name_learn(struct gateway *g, struct slice user, struct slice display)
{
	char text[NAME_LEN + 1];
	if (!display.len || !plain(text, display))
		return;
	struct name *n = find(g, user);
	if (!n) {
		if (g->names.count >= NAMES_MAX)
			return;
		n = mem_calloc(1, sizeof *n + user.len);
		memcpy(n->key, user.p, user.len);
		map_insert(&g->names, &n->node, slice_of(n->key, user.len));
	}
	memcpy(n->text, text, sizeof text);
}

struct slice name_of(const struct gateway *g, struct slice user)
{
	const struct name *n = find(g, user);
	return n ? slice_str(n->text) : SLICE_NONE;
}

void names_free(struct gateway *g)
{
	size_t i;
	MAP_EACH(n, &g->names, i)
		mem_free(CONTAINER_OF(n, struct name, node));
	map_free(&g->names);
}
