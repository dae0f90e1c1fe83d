"""The node image where none can be pulled.

The distribution's containerd and systemd, kind's own files, our binaries.

Follows kind's `images/base` and `images/node` (sigs.k8s.io/kind, module zip), with the distribution's
packages in place of binaries that those download, and one CNI configuration file in place of
kindnetd, which is not published as a module.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.build import build_key, built_folder, cache_root
from tools.cluster.errors import ClusterError
from tools.cluster.images import ADDON_IMAGES
from tools.cluster.machine import Plan
from tools.cluster.pins import COREDNS, ETCD, KIND, KUBE_ROUTER, KUBERNETES, MODULES, PAUSE
from tools.cluster.shell import run, succeeds
from tools.offline.archive import Image, write_archive

REPOSITORY = "localhost/k8s"
SUITE = "bookworm"
NODE_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "containerd", "runc", "containernetworking-plugins", "iptables",
    "ipset", "iproute2", "kmod", "conntrack", "socat", "ethtool", "mount", "util-linux", "procps",
    "ca-certificates",
)  # fmt: skip
CNI = """\
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], \
"routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
"""
# Claims are served by Kubernetes' own host-path provisioner (`kind.configuration` gives it this
# folder). It makes folders that only root may write to; pods without rights need more, and a
# local cluster has no tenants to keep apart.
VOLUMES = "/var/lib/volumes"
ADMIN = "/etc/kubernetes/admin.conf"
UNITS = {
    # NetworkPolicies are enforced by a program of the node's, not by a pod: no image has iptables and ipset.
    "network-policies.path": f"""\
[Path]
PathExists={ADMIN}
[Install]
WantedBy=multi-user.target
""",
    "network-policies.service": f"""\
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/local/bin/kube-router --run-firewall=true --run-router=false --run-service-proxy=false \
--kubeconfig={ADMIN} --hostname-override=%H --v=0
Restart=always
RestartSec=1
""",
    "volumes.service": f"""\
[Unit]
Before=kubelet.service
StartLimitIntervalSec=0
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir -p {VOLUMES} && ln -sfn {VOLUMES} /tmp/hostpath_pv'
ExecStart=/usr/bin/find {VOLUMES} -mindepth 1 -maxdepth 1 -type d -exec chmod 0777 {{}} +
[Install]
WantedBy=multi-user.target
""",
    "volumes.path": f"""\
[Path]
PathChanged={VOLUMES}
TriggerLimitIntervalSec=0
[Install]
WantedBy=multi-user.target
""",
}
UNWANTED_UNITS = (
    "etc/systemd/system/*.wants/*", "lib/systemd/system/multi-user.target.wants/*",
    "lib/systemd/system/local-fs.target.wants/*", "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*", "lib/systemd/system/basic.target.wants/*",
)  # fmt: skip
NODE_PROGRAMS = (
    KUBERNETES,
    KUBE_ROUTER,
    ETCD,
    COREDNS,
    KIND,
    PAUSE,
    *(image.program for image in ADDON_IMAGES),
)
UNWANTED_FILES = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt")


@dataclass(frozen=True, slots=True)
class NodeImage:
    """A node image in Docker."""

    reference: str
    cached: bool


def node_key(plan: Plan) -> str:
    """What the image depends on: this recipe, the binaries, and the quirks built into it; 12 hex digits."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for program in NODE_PROGRAMS:
        digest.update(build_key(program).encode())
    digest.update(repr((plan.drop_sys_resource, plan.cgroup_v1)).encode())
    return digest.hexdigest()[:12]


def ensure_node_image(plan: Plan, on_step: Callable[[str], None]) -> NodeImage:
    """The image in Docker; made first if this version of it is not there."""
    reference = f"localhost/leadscore/kindnode:{KUBERNETES.version}-{node_key(plan)}"
    if succeeds(["docker", "image", "inspect", reference]):
        return NodeImage(reference, cached=True)
    workspace = cache_root() / "node"
    workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".node-", dir=workspace) as scratch:
        root = Path(scratch) / "root"
        _make_root(root, plan, on_step)
        _preload(root, Path(scratch), on_step)
        on_step("node image: importing into Docker")
        entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        archive = Path(scratch) / "node.tar"
        run(["tar", "-C", root, "-cf", archive, "."], timeout=600)
        run(
            ["docker", "import", "-c", "ENV container=docker", "-c", entrypoint, archive, reference],
            timeout=600,
        )
    _forget_others(reference)
    return NodeImage(reference, cached=False)


def _forget_others(reference: str) -> None:
    """Remove images of earlier versions, 1.5 GB each; one that a cluster still runs on stays."""
    repository = reference.rsplit(":", 1)[0]
    for other in run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", repository]).split():
        if other != reference:
            succeeds(["docker", "image", "rm", other])


def distribution_mirror(sources: str) -> str:
    """The first package source of this machine's own apt configuration (deb822 or one-line format)."""
    found = re.search(r"^URIs:\s*(\S+)", sources, re.MULTILINE) or re.search(
        r"^deb (?:\[.*?\] )?(\S+)", sources, re.MULTILINE
    )
    if found is None:
        raise ClusterError(
            "No package source found in apt's configuration.", hint="Look at /etc/apt/sources.list.d."
        )
    return found.group(1)


def _base_root() -> Path:
    """The distribution's part of the image, made once per package list."""
    key = hashlib.sha256(" ".join((SUITE, *NODE_PACKAGES)).encode()).hexdigest()[:12]
    base = cache_root() / "node" / f"base-{SUITE}-{key}.tar"
    if base.exists():
        return base
    base.parent.mkdir(parents=True, exist_ok=True)
    lists = [*Path("/etc/apt/sources.list.d").glob("*.sources"), *Path("/etc/apt").glob("sources.list")]
    mirror = distribution_mirror("\n".join(path.read_text() for path in lists))
    with tempfile.TemporaryDirectory(prefix=".base-", dir=base.parent) as scratch:
        root = Path(scratch) / "root"
        run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(NODE_PACKAGES)}", SUITE, root, mirror],
            timeout=900,
        )
        run(["tar", "-C", root, "-cf", base.with_suffix(".partial"), "."], timeout=300)
    base.with_suffix(".partial").rename(base)
    return base


def _make_root(root: Path, plan: Plan, on_step: Callable[[str], None]) -> None:
    on_step("node image: the distribution's packages")
    base = _base_root()
    root.mkdir()
    run(["tar", "-C", root, "-xf", base], timeout=300)
    on_step("node image: kind's files and Kubernetes")
    module = Path(
        run(["go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"], cwd=MODULES / "kind").strip()
    )
    files = module / "images" / "base" / "files"
    for folder in ("etc", "usr/local/bin", "kind"):
        # The module cache is read-only; the copies must not be.
        run(["cp", "-r", "--no-preserve=mode", f"{files / folder}/.", _made(root / folder)])
    for executable in [*(root / "usr/local/bin").iterdir(), *(root / "kind/bin").iterdir()]:
        executable.chmod(0o755)
    for binary in ("kubelet", "kubeadm", "kubectl"):
        shutil.copy2(built_folder(KUBERNETES) / binary, root / "usr/bin" / binary)
    router = built_folder(KUBE_ROUTER) / "kube-router"
    shutil.copy2(router, root / "usr/local/bin" / router.name)
    _made(root / "etc/kubernetes/manifests")
    _made(root / "kind/manifests")
    (root / "kind/version").write_text(KUBERNETES.version)
    run(["cp", "-r", f"{root / 'usr/lib/cni'}/.", _made(root / "opt/cni/bin")])
    (_made(root / "etc/cni/net.d") / "10-bridge.conflist").write_text(CNI)
    _arrange_systemd(root)
    configuration = root / "etc/containerd/config.toml"
    configuration.write_text(containerd_configuration(configuration.read_text(), plan))
    for folder in UNWANTED_FILES:
        shutil.rmtree(root / folder, ignore_errors=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _arrange_systemd(root: Path) -> None:
    for pattern in UNWANTED_UNITS:
        for unit in root.glob(pattern):
            unit.unlink()
    service = root / "etc/systemd/system/containerd.service"
    service.write_text(service.read_text().replace("/usr/local/bin/containerd", "/usr/bin/containerd"))
    (root / "etc/systemd/journald.conf").open("a").write("ReadKMsg=no\n")
    for name, text in UNITS.items():
        (root / "etc/systemd/system" / name).write_text(text)
    enabled = (unit for unit, text in UNITS.items() if "[Install]" in text)
    for unit in ("kubelet.service", "containerd.service", "undo-mount-hacks.service", *enabled):
        run(["chroot", root, "systemctl", "enable", unit])
    run(["chroot", root, "systemctl", "mask", "systemd-binfmt.service"])


def containerd_configuration(text: str, plan: Plan) -> str:
    """Kind's containerd configuration for the distribution's containerd and this machine; pure."""
    text = re.sub(r"sandbox_image = .*", f'sandbox_image = "{REPOSITORY}/pause:{_pause_tag()}"', text)
    # cri-base.json is generated while kind's own base image is built; the default spec does without.
    text = re.sub(r"^\s*base_runtime_spec.*\n", "", text, flags=re.MULTILINE)
    if plan.cgroup_v1:
        text = text.replace("SystemdCgroup = true", "SystemdCgroup = false")
    if plan.drop_sys_resource:
        text = text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    return text


def control_plane_images() -> dict[str, str]:
    """The images that this kubeadm wants: component → reference (it is the one that knows the tags)."""
    listed = run([
        built_folder(KUBERNETES) / "kubeadm", "config", "images", "list",
        "--image-repository", REPOSITORY, "--kubernetes-version", KUBERNETES.version,
    ])  # fmt: skip
    return {line.rsplit("/", 1)[1].split(":")[0]: line for line in listed.split()}


def _pause_tag() -> str:
    return control_plane_images()["pause"].rsplit(":", 1)[1]


def _preload(root: Path, scratch: Path, on_step: Callable[[str], None]) -> None:
    """Put the images of control plane and add-ons into the node's content store: boot then pulls nothing."""
    on_step("node image: images of the control plane and the add-ons")
    kubernetes, names = built_folder(KUBERNETES), control_plane_images()
    images = [
        Image(names[part], files=[(kubernetes / part, f"/usr/local/bin/{part}")], directories=["/tmp"])
        for part in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    proxy = _proxy_root(root, scratch / "proxy")
    images += [
        Image(
            names["etcd"], files=[(built_folder(ETCD) / "etcd", "/usr/local/bin/etcd")], directories=["/tmp"]
        ),
        Image(
            names["coredns"], files=[(built_folder(COREDNS) / "coredns", "/coredns")], entrypoint=["/coredns"]
        ),
        Image(names["pause"], files=[(built_folder(PAUSE) / "pause", "/pause")], entrypoint=["/pause"]),
        Image(
            names["kube-proxy"], root=proxy, files=[(kubernetes / "kube-proxy", "/usr/local/bin/kube-proxy")]
        ),
        *(addon.archive_image() for addon in ADDON_IMAGES),
    ]
    with _containerd(root / "var/lib/containerd", scratch) as socket:
        for image in images:
            archive = scratch / "image.tar"
            write_archive(image, archive)
            run(
                ["ctr", "-a", socket, "-n", "k8s.io", "images", "import", "--no-unpack", archive], timeout=300
            )
            archive.unlink()


def _proxy_root(root: Path, target: Path) -> Path:
    """kube-proxy needs iptables and conntrack and nothing else of the node."""
    target.mkdir()
    leave = (
        "usr/bin/kube*",
        "usr/bin/containerd*",
        "usr/bin/ctr",
        "usr/lib/cni",
        "usr/lib/systemd",
        "usr/local",
        "opt",
        "kind",
        "var",
    )
    run(
        [
            "sh",
            "-c",
            f"tar -C {root} {' '.join(f'--exclude=./{path}' for path in leave)} -c . | tar -C {target} -x",
        ]
    )
    return target


@contextmanager
def _containerd(store: Path, scratch: Path) -> Iterator[Path]:
    """A containerd that writes into the node's store, for the time of the import."""
    shutil.rmtree(store, ignore_errors=True)
    socket, log = scratch / "containerd.sock", scratch / "containerd.log"
    configuration = scratch / "containerd.toml"
    configuration.write_text(
        f'version = 2\nroot = "{store}"\nstate = "{scratch / "state"}"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
    )
    with log.open("wb") as output:
        daemon = subprocess.Popen(["containerd", "-c", str(configuration)], stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 30
            while not succeeds(["ctr", "-a", socket, "version"]):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise ClusterError(f"containerd did not start:\n{log.read_text(errors='replace')[-600:]}")
                time.sleep(0.1)
            yield socket
        finally:
            daemon.terminate()
            daemon.wait(timeout=30)
