/* SPDX-License-Identifier: Apache-2.0 */
#include "api/peer.h"
#include "base/kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "admin/admin.h"

enum { GROUPS_MAX = 256 };

struct entry {
	enum { BY_USER, BY_GROUP, OTHERS } kind;
	struct slice name;
	unsigned roles;
};

static bool entry_parse(struct slice text, struct entry *ret)
{
	struct slice role = text, subject = slice_split(&role, '=');
	if (slice_starts(subject, S("user:"))) {
		ret->kind = BY_USER;
		ret->name = slice_skip(subject, 5);
	} else if (slice_starts(subject, S("group:"))) {
		ret->kind = BY_GROUP;
		ret->name = slice_skip(subject, 6);
	} else if (slice_eq(subject, S("others"))) {
		ret->kind = OTHERS;
		ret->name = SLICE_NONE;
	} else {
		return false;
	}
	ret->roles = slice_eq(role, S("none")) ? 0 : admin_role_find(role);
	return (ret->roles || slice_eq(role, S("none"))) && (ret->kind == OTHERS || ret->name.len);
}

int peer_check(const struct config_strings *roles, struct entente_err *err)
{
	for (size_t i = 0; i < roles->n; i++) {
		struct entry e;
		if (!entry_parse(slice_str(roles->items[i]), &e))
			return err_set(err, ENTENTE_EINVAL, REASON_NONE,
				       "admin.roles: '%.80s' is not user:NAME=ROLE, group:NAME=ROLE or others=ROLE with one of the roles %s, or none; "
				       "for example group:support=helpdesk",
				       roles->items[i], ADMIN_ROLE_VALUES);
	}
	return 0;
}

/* The groups of that name in /etc/group are among these. *ret_unknown: there is none, but there may be by now. */
static bool in_group(struct slice name, const uint32_t *gids, size_t n, bool *ret_unknown)
{
	char *line = NULL; /* as long as it is: a group with many members must not be passed over */
	size_t cap = 0;
	ssize_t len;
	bool in = false, old, there = false;
	FILE *f = kept_open("/etc/group", &old);
	while (f && !in && (len = getline(&line, &cap, f)) > 0) {
		struct slice rest = slice_of(line, (size_t)len), found = slice_split(&rest, ':');
		uint64_t gid;
		slice_split(&rest, ':');
		if (!slice_eq(found, name) || !slice_u64(slice_split(&rest, ':'), UINT32_MAX, &gid))
			continue;
		there = true;
		for (size_t i = 0; i < n; i++)
			in = in || gids[i] == gid;
	}
	*ret_unknown = !there && (!f || old);
	free(line);
	if (f)
		fclose(f);
	return in;
}

void peer_judge(uint32_t uid, const uint32_t *gids, size_t n, const struct config_strings *roles, struct peer_identity *ret)
{
	bool hit = false, others = false, unknown_group = false;
	unsigned rest = ADMIN_ROLES_ALL;
	bool unknown_user = admin_user_name(uid, ret->who, sizeof ret->who);
	ret->roles = ADMIN_ROLES_ALL;
	if (uid == 0 || uid == geteuid())
		return;
	ret->roles = 0;
	for (size_t i = 0; i < roles->n; i++) {
		struct entry e;
		bool unknown = false;
		if (!entry_parse(slice_str(roles->items[i]), &e))
			continue;
		if (e.kind == OTHERS) {
			rest = others ? rest | e.roles : e.roles;
			others = true;
		} else if (e.kind == BY_USER ? slice_eq(e.name, slice_str(ret->who)) : in_group(e.name, gids, n, &unknown)) {
			ret->roles |= e.roles;
			hit = true;
		}
		unknown_group = unknown_group || unknown || (e.kind == BY_USER && unknown_user);
	}
	if (!hit)
		ret->roles = unknown_group ? 0 : rest; /* an entry may be meant for him: a user or a group made since the start */
}

void peer_identify(int fd, const struct config_strings *roles, struct peer_identity *ret)
{
	struct ucred cred;
	gid_t gids[GROUPS_MAX];
	socklen_t len = sizeof cred, groups = sizeof gids - sizeof *gids;
	size_t n = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		*ret = (struct peer_identity){.who = "unknown"};
		return;
	}
	bool known = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &groups) == 0;
	if (known)
		n = groups / sizeof *gids;
	gids[n++] = cred.gid;
	peer_judge(cred.uid, gids, n, roles, ret);
	if (!known && cred.uid != 0 && cred.uid != geteuid())
		ret->roles = 0; /* more groups than there is room for: an entry that takes something away may be meant for one of them */
}
