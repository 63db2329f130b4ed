import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from chassis.bundles.database.engine import migration_engine
from chassis.bundles.database.metrics import DatabaseMetrics
from chassis.bundles.database.settings import DatabaseSettings
from chassis.metrics import Metrics, MetricsSettings
from chassis.metrics.families import Source, merge
from chassis.testing import MetricsReader

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "database.md"
ROW = re.compile(r"^\| `(service_db_\w+)` \|([^|]*)\| (\w+) \| (\w+) \| ", re.MULTILINE)
ROWS = {name: rest for name, *rest in ROW.findall(PAGE.read_text(encoding="utf-8"))}


@pytest.fixture
def metrics():
    return Metrics(MetricsSettings(), service="orders", version="1")


@pytest.fixture
def measures(metrics):
    return DatabaseMetrics(metrics, slow_query_ms=500)


def test_the_page_lists_every_metric(metrics, measures):
    families = metrics.registry.families()
    assert {f"{each.name}{'_total' * (each.type == 'counter')}" for each in families} == ROWS.keys()


@pytest.mark.parametrize("name", ROWS)
def test_metric_is_as_the_page_says(metrics, measures, name):
    labels, kind, workers = ROWS[name]
    family = next(each for each in metrics.registry.families() if each.name == name.removesuffix("_total"))
    assert family.type == kind
    collector = metrics.registry._names_to_collectors[family.name]
    assert ", ".join(f"`{label}`" for label in collector._labelnames) == labels.strip()
    assert workers == "sum"
    family.samples = {name: 3.0}
    both = merge(Source(worker, alive=True, families=[family]) for worker in "ab")
    assert both[0].samples == {name: 6.0}


def test_every_operation_is_there_before_the_first_statement(metrics, measures):
    operations = MetricsReader(metrics).labels("service_db_slow_queries_total", "operation")
    assert operations == {"SELECT", "INSERT", "UPDATE", "DELETE", "OTHER"}


def test_engine_whose_pool_is_not_measured_is_refused(measures, tmp_path):
    with pytest.raises(TypeError, match="service_engine"):
        measures.watch(migration_engine(DatabaseSettings(url=f"sqlite:///{tmp_path}/x.db")))


def test_statement_that_failed_before_it_was_sent_is_not_measured(metrics, measures):
    measures._failed(SimpleNamespace(statement="SELECT 1", execution_context=object()))
    measures._failed(SimpleNamespace(statement=None, execution_context=None))
    assert MetricsReader(metrics).value("service_db_query_duration_seconds_count") == 0


def test_statement_of_another_kind_is_other(metrics, measures):
    measures._observe("\n  with x as (select 1) select * from x", SimpleNamespace(_chassis_started=0.0))
    assert MetricsReader(metrics).value("service_db_query_duration_seconds_count", operation="OTHER") == 1
