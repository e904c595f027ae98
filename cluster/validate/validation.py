"""Checks every input of a project against the data contract and reports all that is wrong, without building anything.

The rules are those of the build (`cluster.data.reading`, `cluster.data.cleaning`, `cluster.graph.edges`): what is
counted here as dropped is what the build drops, but for edges that it prunes by topics once it has the graph
(`cluster.catalog.pruning`).
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.cleaning import now_us
from cluster.data.inputs import open_inputs_leniently
from cluster.progress import Progress, silent
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.home import logs_of
from cluster.validate.checks.attributes import check_attributes
from cluster.validate.checks.clients import check_clients
from cluster.validate.checks.edges import check_edges
from cluster.validate.checks.events import check_events, logged_requests
from cluster.validate.checks.impressions import check_answers, check_impressions, note_clients
from cluster.validate.checks.losses import check_losses
from cluster.validate.checks.names import check_names
from cluster.validate.checks.pins import check_pins, note_unreachable
from cluster.validate.checks.users import check_users
from cluster.validate.examination import Examination, error_of
from cluster.validate.report import Report, TableReport


def validate(project: Project, progress: Progress = silent, clients: Mapping[str, Client] | None = None) -> Report:
    """Reads all inputs and reports rows, errors and counted drops per table. Never raises for what the data holds.

    With `clients`, their rules are held against the data as well, and whether there is something for each to walk from
    and to learn from.

    Edges are held in memory (two ids and a time each) to count duplicates; the other inputs too.
    """
    inputs, refused = open_inputs_leniently(project)
    report = Report({name: TableReport() for name in (*inputs, *refused)})
    for name, error in refused.items():
        report.tables[name].findings.append(error_of(name, error))

    run = Examination(project, report, now_us(), progress)
    pins = check_pins(inputs["pins"], run) if "pins" in inputs else None
    users = check_users(inputs["users"], run) if "users" in inputs else None
    saved_pins = check_edges(inputs["edges"], run, pins) if "edges" in inputs else None
    if pins is not None and saved_pins is not None:
        note_unreachable(run, pins, saved_pins)
    graph_pins = saved_pins if pins is None else pins  # a listed pin is in the graph, with an edge or without
    impressions = check_impressions(inputs["impressions"], run, graph_pins) if "impressions" in inputs else None
    events = None
    if "events" in inputs:
        requests = logged_requests(logs_of(project))
        if impressions is not None:
            requests = pa.concat_arrays([requests, impressions["request_id"].combine_chunks()])
        events = check_events(inputs["events"], run, graph_pins, users, requests)
    if impressions is not None and events is not None:
        check_answers(run, events, impressions)
    categorical = {"pins": project.features.pin_categorical, "users": project.features.user_categorical}
    for finding in check_names(run.clean, categorical, clients or {}):
        report.tables[finding.table].findings.append(finding)
    if "pins" in run.clean:
        report.tables["pins"].findings += check_attributes(run.clean["pins"], project.attributes)
    check_losses(run)
    if clients is not None:
        if impressions is not None:
            note_clients(run, impressions, clients)
        check_clients(run, clients, None if events is None else set(pc.unique(events["action"]).to_pylist()))
    return report
