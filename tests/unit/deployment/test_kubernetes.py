"""deploy/helm-values.yaml and deploy/kubernetes.yaml say the same as docker-compose.yaml; no cluster is needed."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from face_import.settings import CHECKOUT, Settings
from tests.compose import HOME, ours

VALUES: dict[str, Any] = yaml.safe_load((CHECKOUT / "deploy" / "helm-values.yaml").read_text())
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((CHECKOUT / "deploy" / "kubernetes.yaml").read_text()))
GUIDE = (CHECKOUT / "docs" / "how-to" / "deployment.md").read_text()


def containers() -> dict[str, dict[str, Any]]:
    """The container of each workload, by its name."""
    workloads = [one for one in OBJECTS if one["kind"] in {"Deployment", "StatefulSet"}]
    found = [container for one in workloads for container in one["spec"]["template"]["spec"]["containers"]]
    return {container["name"]: container for container in found}


def airflow_config() -> dict[str, str]:
    """The values file's Airflow settings, by the names of their variables."""
    config = VALUES["config"]
    return {f"AIRFLOW__{s.upper()}__{k.upper()}": str(v) for s, keys in config.items() for k, v in keys.items()}


def test_airflow_is_set_as_in_the_compose_file() -> None:
    """What was found to be needed is needed in a cluster too; the chart itself sets where things are."""
    compose = ours()["airflow-worker"]["environment"] | ours()["airflow-scheduler"]["environment"]
    given = airflow_config()
    assert given.keys() <= compose.keys()
    theirs = {"AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__CELERY__BROKER_URL"}
    missing = {name for name in compose if name.startswith("AIRFLOW__")} - given.keys() - theirs
    assert all(re.match(r"AIRFLOW__(API|DATABASE|LOGGING)__", name) for name in missing), missing
    numbers = {"AIRFLOW__CORE__PARALLELISM"}
    assert {n: v for n, v in given.items() if n not in numbers} == {n: compose[n] for n in given.keys() - numbers}
    assert VALUES["executor"] == compose["AIRFLOW__CORE__EXECUTOR"]


def test_as_much_is_handed_out_as_the_workers_run() -> None:
    """More would wait in the broker, and be taken for stuck."""
    slots = VALUES["config"]["celery"]["worker_concurrency"] * VALUES["workers"]["replicas"]
    assert VALUES["config"]["core"]["parallelism"] == slots


def test_variables_are_settings_and_those_of_the_compose_file() -> None:
    """A misspelt one would silently do nothing; both files agree."""
    chart = {one["name"]: one["value"] for one in VALUES["env"]}
    (configmap,) = (one["data"] for one in OBJECTS if one["kind"] == "ConfigMap")
    for variables in (chart, configmap):
        mine = {k.removeprefix("FACE_IMPORT_").lower(): v for k, v in variables.items() if k.startswith("FACE_IMPORT_")}
        assert mine.keys() <= Settings.model_fields.keys()
        Settings.model_validate(mine)
        assert {k for k in variables if not k.startswith("FACE_IMPORT_")} <= ours()["shim"]["environment"].keys()
    assert chart.items() <= configmap.items()


def test_one_image_for_all() -> None:
    """The chart's pods and ours run the same release, as our image's user."""
    image = VALUES["images"]["airflow"]
    assert {one["image"] for one in containers().values()} == {f"{image['repository']}:{image['tag']}"}
    assert (VALUES["defaultAirflowRepository"], VALUES["defaultAirflowTag"]) == (image["repository"], image["tag"])
    assert f"apache-airflow=={VALUES['airflowVersion']}" in (CHECKOUT / "requirements.txt").read_text()
    assert f"--uid {VALUES['uid']} " in (CHECKOUT / "Dockerfile").read_text()
    assert VALUES["airflowHome"] == f"{HOME}/airflow"
    pods = [one["spec"]["template"]["spec"] for one in OBJECTS if one["kind"] in {"Deployment", "StatefulSet"}]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == VALUES["uid"]


@pytest.mark.parametrize("name", ["shim", "keeper", "face-info", "face-library"])
def test_the_programs_are_those_of_the_compose_file(name: str) -> None:
    """The same commands, and probes on the port that the command binds."""
    container = containers()[name]
    assert container["command"] == ours()[name]["command"]
    for port in container.get("ports", []):
        assert f"--bind=0.0.0.0:{port['containerPort']}" in container["command"]
        for probe in ("livenessProbe", "readinessProbe"):
            assert (
                container.get(probe, {}).get("httpGet", {}).get("port", port["containerPort"]) == port["containerPort"]
            )


def test_the_migration_job_does_what_airflow_init_does() -> None:
    """But for the credentials, which are secrets here."""
    steps = " ".join(ours()["airflow-init"]["command"][2].split()).removeprefix("face-import credentials && ")
    assert VALUES["migrateDatabaseJob"]["args"] == ["bash", "-c", steps]
    assert VALUES["createUserJob"]["enabled"] is False


@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_manifests_fit_the_api(version: str) -> None:
    """Each object is one of that release of Kubernetes, without a key that it does not know."""
    for one in OBJECTS:
        kubernetes_validate.validate(one, version, strict=True)


def test_pods_are_confined() -> None:
    """No privileges, no token, volumes alone to write in, bounded memory, and a restart if they hang."""
    pods = [one["spec"]["template"]["spec"] for one in OBJECTS if one["kind"] in {"Deployment", "StatefulSet"}]
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for name, container in containers().items():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name
        assert "livenessProbe" in container, name
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, name  # noqa: S108 - a volume


def test_only_workers_reach_face_services_and_these_reach_nothing() -> None:
    """The policy selects both by the labels that their pods have, and workers by those of the chart's."""
    (policy,) = (one["spec"] for one in OBJECTS if one["metadata"]["name"] == "face-services")
    (selected,) = policy["podSelector"]["matchExpressions"]
    labels = {
        one["spec"]["template"]["metadata"]["labels"]["app"]
        for one in OBJECTS
        if one["kind"] in {"Deployment", "StatefulSet"}
    }
    assert set(selected["values"]) == {"face-info", "face-library"} <= labels
    assert policy["egress"] == []
    (rule,) = policy["ingress"]
    (budget,) = (one["spec"] for one in OBJECTS if one["kind"] == "PodDisruptionBudget")
    assert rule["from"] == [{"podSelector": budget["selector"]}]


def test_probes_of_the_charts_pods_are_those_of_the_compose_file() -> None:
    """Its own start Airflow every time; each command is the health check of the same service."""
    worker, scheduler = (ours()[f"airflow-{name}"] for name in ("worker", "scheduler"))
    assert VALUES["workers"]["livenessProbe"]["command"][-1] == worker["healthcheck"]["test"][-1]
    assert VALUES["scheduler"]["livenessProbe"]["command"] == scheduler["healthcheck"]["test"][1:]
    (heartbeat,) = VALUES["workers"]["env"]
    assert worker["environment"][heartbeat["name"]] == heartbeat["value"]
    assert containers()["keeper"]["livenessProbe"]["exec"]["command"][-1] == ours()["keeper"]["healthcheck"]["test"][-1]


def test_services_lead_to_what_listens() -> None:
    """Each service's port is one of the pods that it selects, and the URLs name services that there are."""
    services = {one["metadata"]["name"]: one["spec"] for one in OBJECTS if one["kind"] == "Service"}
    for name, spec in services.items():
        container = containers()[name.removeprefix("face-import-")]
        assert [port["port"] for port in spec["ports"]] == [port["containerPort"] for port in container["ports"]]
    (configmap,) = (one["data"] for one in OBJECTS if one["kind"] == "ConfigMap")
    for variable in ("FACE_IMPORT_INFO_URL", "FACE_IMPORT_LIBRARY_URL"):
        name, _, port = configmap[variable].removeprefix("http://").partition(":")
        assert services[name]["ports"] == [{"port": int(port)}]


def test_no_secret_stands_in_the_files_and_the_guide_makes_each() -> None:
    """Secrets are named only, and docs/how-to/deployment.md has a line for each that makes it."""
    named = {
        VALUES["data"]["metadataSecretName"],
        VALUES["data"]["brokerUrlSecretName"],
        VALUES["fernetKeySecretName"],
        VALUES["apiSecretKeySecretName"],
        VALUES["jwtSecretName"],
        *(one["secret"]["secretName"] for one in VALUES["migrateDatabaseJob"]["extraVolumes"]),
        *(one["secretRef"]["name"] for one in yaml.safe_load(VALUES["extraEnvFrom"])),
        *re.findall(r"secretName: ([\w-]+)", (CHECKOUT / "deploy" / "kubernetes.yaml").read_text()),
    }
    made = set(re.findall(r"kubectl create secret generic ([\w-]+)", GUIDE))
    assert made == named
    both = yaml.safe_dump(VALUES) + yaml.safe_dump_all(OBJECTS)
    assert not re.search(r"(?i)(password|secret_access_key|fernet_key): \S", both)
