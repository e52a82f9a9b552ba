# SPDX-License-Identifier: Apache-2.0
"""The files with scenarios, in the order in which they run."""
import importlib

from scenario import SCENARIOS      # sets the path to the lab

TOPICS = [
    "im", "content", "presence", "subscriptions", "refusals", "errors", "partner_types", "restarts", "keys", "split", "ledgers", "lifecycle", "streams", "direct_tls",
    "bidirectional", "acknowledgements", "sessions", "msrp", "chat_states", "receipts", "dialects", "home", "access", "access_kinds", "access_seeing", "access_trust", "access_refused", "access_homes", "access_pool",
    "seeing", "real_client", "stances", "srv", "dane", "differential", "access_hide", "external", "acme", "audit", "sandbox", "changes", "both_networks",
]


def load():
    """All scenarios; the place in the list is the scenario's number."""
    for topic in TOPICS:
        importlib.import_module(topic)
    for number, scenario in enumerate(SCENARIOS):
        scenario.number = number
    return SCENARIOS
