"""What `kustomize build` makes of deploy/kubernetes, in the few features that are used there.

A kustomization that uses another feature is an error here, so that nothing is passed over. Names of
generated config maps get no hash.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

_KNOWN = {
    "apiVersion",
    "kind",
    "resources",
    "configMapGenerator",
    "images",
    "patches",
    "replicas",
}


def build(directory: Path) -> list[Resource]:
    """The resources of an overlay."""
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert kustomization.keys() <= _KNOWN, kustomization.keys() - _KNOWN
    resources: list[Resource] = []
    for name in kustomization["resources"]:
        path = directory / name
        if path.is_dir():
            resources += build(path)
        else:
            resources += yaml.safe_load_all(path.read_text())
    for generator in kustomization.get("configMapGenerator", []):
        _generate(resources, generator)
    for patch in kustomization.get("patches", []):
        _patch(resources, patch, directory)
    for replicas in kustomization.get("replicas", []):
        _find(resources, "StatefulSet", replicas["name"])["spec"]["replicas"] = replicas["count"]
    for image in kustomization.get("images", []):
        for container in _containers(resources):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    return resources


def _find(resources: list[Resource], kind: str, name: str) -> Resource:
    (found,) = [r for r in resources if (r["kind"], r["metadata"]["name"]) == (kind, name)]
    return found


def _containers(resources: list[Resource]) -> list[Resource]:
    return [
        container
        for resource in resources
        if resource["kind"] == "StatefulSet"
        for container in resource["spec"]["template"]["spec"]["containers"]
    ]


def _generate(resources: list[Resource], generator: dict[str, Any]) -> None:
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    if generator.get("behavior") == "merge":
        _find(resources, "ConfigMap", generator["name"])["data"].update(data)
        return
    metadata = {"name": generator["name"]}
    resources.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _patch(resources: list[Resource], patch: dict[str, Any], directory: Path) -> None:
    if "path" in patch:
        change = yaml.safe_load((directory / patch["path"]).read_text())
        _merge(_find(resources, change["kind"], change["metadata"]["name"]), change)
        return
    target = _find(resources, patch["target"]["kind"], patch["target"]["name"])
    for operation in yaml.safe_load(patch["patch"]):
        place: Any = target
        *parents, last = [
            step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]
        ]
        for step in parents:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if operation["op"] == "remove":
            del place[last]
        else:
            assert operation["op"] == "add" or last in place
            place[last] = operation["value"]


def _merge(into: Any, change: Any) -> None:
    """A strategic merge: mappings by key, lists of named things by name (mounts by path)."""
    for key, value in change.items():
        if isinstance(value, dict) and key in into:
            _merge(into[key], value)
        elif isinstance(value, list) and key in into:
            by = "mountPath" if key == "volumeMounts" else "name"
            for entry in reversed(value):
                same = [old for old in into[key] if old[by] == entry[by]]
                if same:
                    _merge(same[0], entry)
                else:
                    into[key].insert(0, copy.deepcopy(entry))
        else:
            into[key] = copy.deepcopy(value)
