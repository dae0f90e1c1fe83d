"""Choose and deliver, over and over, until killed: `STORE_URL HOME`."""

from __future__ import annotations

import sys
import time

from tests.support.scored_leads import no_models

from leadscore.crm.chores import CrmMonitor
from leadscore.events.store import EventStore
from leadscore.settings import Home

if __name__ == "__main__":
    url, root = sys.argv[1:]
    environ = {"LEADSCORE_HOME": root, "LEADSCORE_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    with EventStore(url) as store:
        crm = CrmMonitor(store, Home.from_environment(environ), no_models, environ)
        while True:
            crm.choose()
            crm.deliver()
            time.sleep(0.01)
