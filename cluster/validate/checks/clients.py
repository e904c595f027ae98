"""The check of the clients: whether the project's actions, and those of its events, are worth something to each."""

from collections.abc import Mapping

from cluster.settings.clients import Client
from cluster.settings.own_actions import said
from cluster.validate.examination import Examination
from cluster.validate.report import Finding, TableReport

FIX = "give one of them a weight above 0 in a client file of your own (`clients` in pinfunnel.yaml, docs/clients.md)"


def check_clients(run: Examination, clients: Mapping[str, Client], done: set[str] | None) -> None:
    """Adds the table `clients` to the report. `done`: the actions of the usable events, None without events."""
    mine = TableReport(rows=len(clients), used=len(clients), about=", ".join(clients))
    run.report.tables["clients"] = mine
    project = run.project
    if project.clients is None and (line := said(project.actions, project.negative_actions)):
        mine.findings.append(Finding("noted", "clients", line, "nothing to do if that suits you"))
    negative = set(project.negative_actions)
    wanted = set(project.actions) - negative
    for name, client in clients.items():
        for key, weights, loss in _uses(client):
            positive = {action for action, weight in weights.items() if weight > 0} & wanted
            if not positive:
                what = f"client {name}: {key} has no weight above 0 for {', '.join(sorted(wanted))}, so {loss}"
                mine.findings.append(Finding("error", "clients", what, FIX))
            elif done and not positive & done:
                seen = ", ".join(sorted(done))
                what = f"client {name}: {key} has no weight above 0 for what the events hold ({seen}), so {loss}"
                mine.findings.append(Finding("error", "clients", what, FIX))


def _uses(client: Client) -> list[tuple[str, Mapping[str, float], str]]:
    """Settings that weigh actions, and what fails when none of them counts. A strategy's own table comes first."""
    table = client.labels.table
    labels = client.labels.action_weights if table is None or not table.action_weight else table.action_weight
    uses: list[tuple[str, Mapping[str, float], str]] = [
        ("labels.action_weights", labels, "`train lightweight` has no positive example"),
        ("utility", client.utility, "`train full` is worth nothing"),
    ]
    if client.query.source != "request":
        uses.append(("query.actions", client.query.actions, "no walk starts from what a user did"))
    return uses
