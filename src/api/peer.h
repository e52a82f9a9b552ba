/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a unix socket, and with which roles: the kernel says the user and the groups (SO_PEERCRED, SO_PEERGROUPS), the setting
 * admin.roles what they may. Names are looked up in /etc/passwd and /etc/group alone: the name service may be somewhere on the network. Blocks for
 * these files only; any thread. */
#pragma once
#include "admin/role.h"
#include "base/err.h"
#include "config/config.h"

enum { PEER_WHO = 80 };

struct peer_identity {
	char who[PEER_WHO];
	unsigned roles;
};

/* root and the daemon's own user have all roles. Others: what the entries "user:NAME=ROLE" and "group:NAME=ROLE" that fit give together; without
 * one that fits, the entry "others=ROLE"; without that all roles: whoever may connect may administer. ROLE "none": nothing. Nothing too for whom no
 * entry fits while one may be meant for him: it names a user or a group that was made since the daemon locked itself in (base/kept.h). */
void peer_identify(int fd, const struct config_strings *roles, struct peer_identity *ret);
/* The same of what is known: for tests. gids: all groups. */
void peer_judge(uint32_t uid, const uint32_t *gids, size_t n, const struct config_strings *roles, struct peer_identity *ret);
/* Are the entries well-formed? ENTENTE_EINVAL. */
int peer_check(const struct config_strings *roles, struct entente_err *err);
