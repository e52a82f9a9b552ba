/* SPDX-License-Identifier: Apache-2.0 */
/* `test im`: one message that is real from here on. From a user of ours it enters as a MESSAGE of its home (sip_edge_inject) and takes the way of all
 * others: limits, policy, translation or the Access Edge, the partner's server. From an XMPP partner's user it enters as a stanza that a
 * proven stream of the domain has brought. Its hops are read off the decision log (policy/record.h), which is looked into now and then, for as
 * long as the test runs. What would be answered to the sender goes nowhere, also when it comes after the test has given up, and nothing is
 * learned from the message. Control thread. */
#pragma once
#include "admin/admin.h"

struct app;
struct test_ims;

enum { TEST_IMS_MAX = 4 }; /* at once */

struct test_ims *test_ims_new(struct app *app);
/* The tasks are gone. Accepts NULL; returns NULL. */
struct test_ims *test_ims_free(struct test_ims *s);
/* As the operation of struct admin_ops. */
int test_im_begin(struct test_ims *s, const struct admin_test_im *what, struct admin_task *t, struct entente_err *err);
/* A task of another kind is not known here: nothing happens. */
void test_im_cancel(struct test_ims *s, struct admin_task *t);
/* Any thread: is this stanza the error for a message that a test has made? Then it is nobody's. s may be NULL. */
bool test_ims_take(struct test_ims *s, struct slice stanza);
