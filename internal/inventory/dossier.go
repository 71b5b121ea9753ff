package inventory

// Dossier is everything that is known of one reference: the tag, what its digest is,
// and of one platform image the bill of materials and the findings.
type Dossier struct {
	Tag    TagRow
	Index  *Image // the index that the tag points to; nil when it points to an image
	Image  Image  // the platform image; only Digest and State are set while it waits
	SBOM   SBOM
	Report Report
}
