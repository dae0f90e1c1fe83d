"""Bills of materials (CycloneDX, cyclonedx.org), made from the image and checked against the schema."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tools.images.built import Built
from tools.images.contents import Contents, Package
from tools.images.errors import ImageError

VERSION = "1.6"
DISTRIBUTION = "debian"


def bill_of_materials(built: Built, contents: Contents) -> str:
    """The bill of an image as JSON; the same image has the same bill.

    Raises:
        ImageError: It would not be valid.
    """
    image = Component(
        name=built.repository,
        version=built.tag,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        purl=PackageURL("oci", None, built.repository.rsplit("/", 1)[1], built.digest),
    )
    base_name, _, base_digest = built.base.partition("@")
    base = Component(
        name=base_name.rsplit(":", 1)[0],
        version=base_digest or base_name.rsplit(":", 1)[1],
        type=ComponentType.CONTAINER,
        bom_ref="base",
    )
    parts = [component(each) for each in contents.packages]
    bom = Bom(components=[base, *parts], serial_number=uuid.uuid5(uuid.NAMESPACE_URL, built.digest))
    bom.metadata.component = image
    bom.metadata.timestamp = datetime.fromtimestamp(built.epoch, UTC)
    bom.register_dependency(image, [base, *parts])
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    check(text)
    return text + "\n"


def component(package: Package) -> Component:
    """A package as a component with its package URL (github.com/package-url/purl-spec); pure."""
    if package.kind == "deb":
        qualifiers = {"arch": package.architecture, "distro": "bookworm"}
        url = PackageURL("deb", DISTRIBUTION, package.name, package.version, qualifiers)
    else:
        url = PackageURL("pypi", None, package.name.lower().replace("_", "-"), package.version)
    licences = [LicenseFactory().make_from_string(package.licence)] if package.licence else []
    references = (
        [ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(package.homepage))]
        if package.homepage.startswith("http")
        else []
    )
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=url.to_string(),
        purl=url,
        licenses=licences,
        external_references=references,
    )


def check(text: str) -> int:
    """Check a bill against CycloneDX's schema, strictly; the number of its components.

    Raises:
        ImageError: With the first complaint.
    """
    complaint = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if complaint is not None:
        raise ImageError(f"The bill of materials is not valid CycloneDX {VERSION}: {complaint}"[:800])
    return len(json.loads(text)["components"])
