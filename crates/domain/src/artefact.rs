//! The files that belong to a scan, said once: storage keeps them, inference makes them, the gateway hands them out and
//! describes them, or makes them of others, and the page offers them, each by the rows of this table.

/// One file of a scan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Artefact {
    /// Its name in storage, and the end of the name under which a browser saves it.
    pub name: &'static str,
    /// The media type of its bytes.
    pub media_type: &'static str,
    /// What makes it, and so when it is there.
    pub made: Made,
    /// What people call it.
    pub title: &'static str,
    /// The artefact that is handed out in its place once there is a result that brings it.
    pub then: Option<&'static str>,
    /// Its place in the archive of a batch's results; None: it is not in there.
    pub packed: Option<Packed>,
    /// Where the REST face hands it out; None: it never leaves the mesh under its own name.
    pub published: Option<Published>,
}

/// What makes an artefact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Made {
    /// It is kept when the scan is accepted, and no result may replace it.
    Upload,
    /// It comes with the result, if that has one.
    Result,
    /// It is made of the result whenever it is asked for, and kept nowhere. What says whose scan it is joins pixels and identity, which
    /// stay apart elsewhere.
    Request,
}

/// Where an artefact is in the archive of a batch's results.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packed {
    /// The folder that holds one file for each scan.
    pub folder: &'static str,
    /// The field of the archive's `batch.json` that says where a scan's file is.
    pub field: &'static str,
}

/// How the REST face hands an artefact out: its address and the words of its description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// The last part of its address, after `/v1/scans/{id}/`.
    pub path: &'static str,
    /// The name of the operation, from which generated clients name their functions.
    pub operation_id: &'static str,
    /// What the operation does, in a line.
    pub summary: &'static str,
    /// What else a caller should know.
    pub description: Option<&'static str>,
    /// What the answer's body is.
    pub body: &'static str,
    /// Whether the page offers it as a download.
    pub offered: bool,
}

impl Artefact {
    /// The end of its name, as in `nii.gz`; empty when it has none.
    pub fn extension(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whether its bytes are compressed already, so that packing them again gains nothing.
    pub fn is_compressed(&self) -> bool {
        matches!(self.media_type, "image/png" | "application/gzip")
    }

    /// Whether an upload brings an artefact of that name: no result may bring another.
    pub fn is_uploaded(name: &str) -> bool {
        ALL.iter().any(|known| known.made == Made::Upload && known.name == name)
    }

    /// A DICOM object. None is in an archive of results: that names no patient, and these do.
    const fn dicom(name: &'static str, title: &'static str, published: Published) -> Artefact {
        Artefact::made(name, "application/dicom", title, published)
    }

    /// What other programs read, made for them. None is in an archive of results: that names no patient, and most of these do.
    const fn made(
        name: &'static str,
        media_type: &'static str,
        title: &'static str,
        published: Published,
    ) -> Artefact {
        let made = Artefact::within(name, media_type, Made::Request, title);
        Artefact { published: Some(published), ..made }
    }

    /// An artefact that stays in the mesh.
    const fn within(
        name: &'static str,
        media_type: &'static str,
        made: Made,
        title: &'static str,
    ) -> Artefact {
        Artefact { name, media_type, made, title, then: None, packed: None, published: None }
    }
}

macro_rules! artefacts {
    ($($(#[$doc:meta])* $constant:ident = $row:expr;)*) => {
        $($(#[$doc])* pub const $constant: Artefact = $row;)*
        /// Every artefact, in the order in which people are offered them.
        pub const ALL: &[Artefact] = &[$($constant),*];
    };
}

artefacts! {
    /// The decoded voxels, which are what is analysed.
    VOLUME = Artefact::within("volume", "application/octet-stream", Made::Upload, "Volume");
    /// The file as it was uploaded.
    ORIGINAL = Artefact {
        published: Some(Published {
            path: "original",
            operation_id: "get_original",
            summary: "Gives the file back as it was uploaded",
            description: Some(
                "Always as a download: whoever uploaded it may have put anything into it.",
            ),
            body: "The file",
            offered: false,
        }),
        ..Artefact::within("original", "application/octet-stream", Made::Upload, "Original file")
    };
    /// The middle slice as a picture.
    IMAGE = Artefact {
        then: Some(SHOWN.name),
        published: Some(Published {
            path: "image.png",
            operation_id: "get_image",
            summary: "Shows the scan as radiologists look at it",
            description: Some(
                "The patient's right is at the left and the front or the head above, with letters at the edges (R or L, A or P, H or F);\n\
                 where the file does not say which way the patient lies it is as stored, marked \"side unknown\". \
                 Of a volume it is the middle slice, at most 1,024 pixels a side; once there is a result it is the very slice, in the\n\
                 scan's own pixels, that `mask.png` and `overlay.png` show.",
            ),
            body: "The image",
            offered: false,
        }),
        ..Artefact::within("image.png", "image/png", Made::Upload, "Image")
    };
    /// What the upload's DICOM instances say of themselves, and where in the original each stands. It says whose they are, and is
    /// read by those alone who may know that.
    INSTANCES = Artefact::within("instances.json", "application/json", Made::Upload, "DICOM instances");
    /// The mask of one slice.
    MASK = Artefact {
        packed: Some(Packed { folder: "masks", field: "mask" }),
        published: Some(Published {
            path: "mask.png",
            operation_id: "get_mask",
            summary: "Shows the mask of the slice that `image.png` shows",
            description: None,
            body: "The mask: white in main findings, grey (127) in lesser ones, black elsewhere",
            offered: true,
        }),
        ..Artefact::within("mask.png", "image/png", Made::Result, "Mask")
    };
    /// The findings drawn over the same slice.
    OVERLAY = Artefact {
        packed: Some(Packed { folder: "overlays", field: "overlay" }),
        published: Some(Published {
            path: "overlay.png",
            operation_id: "get_overlay",
            summary: "Shows the findings over the image: outline and box",
            description: None,
            body: "The image with main findings outlined in yellow and boxed in blue, lesser ones outlined in purple",
            offered: true,
        }),
        ..Artefact::within("overlay.png", "image/png", Made::Result, "Overlay")
    };
    /// The mask of the whole volume, in the file's own grid.
    MASK_VOLUME = Artefact {
        published: Some(Published {
            path: "mask.nii.gz",
            operation_id: "get_mask_volume",
            summary: "Gives the mask of the whole volume, in its own geometry",
            description: Some(
                "It has the grid and the storage order of the file that was uploaded, whatever way up pictures show it: result.json's\n\
                 `image.own_grid` says how slices, rows and columns of the pictures run through it. As all NIfTI files it counts\n\
                 millimetres to the right, the front and the head (RAS); result.json counts to the left, the back and the head (LPS).",
            ),
            body: "The mask as NIfTI, gzipped: 1 in main findings, 2 in lesser ones, 0 elsewhere",
            offered: false,
        }),
        ..Artefact::within("mask.nii.gz", "application/gzip", Made::Result, "Mask of the volume")
    };
    /// The slice that mask and overlay are of, where that is not the middle one of an upload's picture.
    SHOWN = Artefact::within("shown.png", "image/png", Made::Result, "Image");
    /// The findings as a DICOM segmentation.
    SEGMENTATION = Artefact::dicom("seg.dcm", "DICOM segmentation", Published {
        path: "seg.dcm",
        operation_id: "get_dicom_segmentation",
        summary: "Gives the findings as a DICOM segmentation (SEG) of the images they were found in",
        description: Some(
            "A segment for each finding, on the slices of the images themselves, in their study and with their patient: so it says\n\
             whose scan it is, and is for the roles `clinician` and `integrator`; each reading is noted in the audit trail. The same\n\
             result is the same object. There is none of a scan that did not come as DICOM, nor where nothing was found: `detail` says\n\
             why, and `sr.dcm` says the answer.",
        ),
        body: "The segmentation",
        offered: true,
    });
    /// The measures as a DICOM structured report.
    STRUCTURED_REPORT = Artefact::dicom("sr.dcm", "DICOM structured report", Published {
        path: "sr.dcm",
        operation_id: "get_dicom_structured_report",
        summary: "Gives answer and measures as a DICOM structured report (TID 1500)",
        description: Some(
            "Whichever of the four the answer is; of each finding volume, axes and box, as lines in the patient. For whom, and of which\n\
             scans, as `seg.dcm`.",
        ),
        body: "The structured report",
        offered: true,
    });
    /// The result in sentences as a DICOM structured report.
    TEXT_REPORT = Artefact::dicom("text.dcm", "DICOM report in words", Published {
        path: "text.dcm",
        operation_id: "get_dicom_text_report",
        summary: "Gives answer and findings in sentences as a DICOM structured report (Basic Text SR)",
        description: Some(
            "Whichever of the four the answer is, in English: for archives and viewers that show no other structured report. For whom,\n\
             and of which scans, as `seg.dcm`.",
        ),
        body: "The structured report",
        offered: true,
    });
    /// The key picture as a DICOM secondary capture.
    CAPTURE = Artefact::dicom("capture.dcm", "DICOM picture", Published {
        path: "capture.dcm",
        operation_id: "get_dicom_capture",
        summary: "Gives the picture of the findings as a DICOM secondary capture",
        description: Some(
            "`overlay.png`, or `image.png` where nothing was found, with answer, model and \"research use only\" written above it: for\n\
             archives and viewers that show nothing else. For whom, and of which scans, as `seg.dcm`.",
        ),
        body: "The picture",
        offered: true,
    });
    /// The report as a DICOM object.
    DOCUMENT = Artefact::dicom("report.dcm", "DICOM report", Published {
        path: "report.dcm",
        operation_id: "get_dicom_report",
        summary: "Gives the report of `report.pdf` as a DICOM object (Encapsulated PDF)",
        description: Some(
            "With what the caller may know, as `report.pdf`: once readers have said more, it is another object. For whom, and of which\n\
             scans, as `seg.dcm`.",
        ),
        body: "The report",
        offered: true,
    });
    /// The report as FHIR resources.
    FHIR_REPORT = Artefact::made("report.fhir.json", "application/fhir+json", "FHIR report", Published {
        path: "report.fhir.json",
        operation_id: "get_fhir_report",
        summary: "Gives the result as a FHIR R4 bundle",
        description: Some(
            "A collection of DiagnosticReport, Observations, Device and, where the scan came with them, ImagingStudy and Patient, of which\n\
             it has the number alone. Each of the four answers is said: one that says nothing of the patient has a `dataAbsentReason`.\n\
             All is `preliminary` and marked as research. The same result has the same ids. It says whose scan it is, and is for the\n\
             roles `clinician` and `integrator`; each reading is noted in the audit trail.",
        ),
        body: "The bundle",
        offered: true,
    });
    /// The report as a message of HL7 v2.
    HL7_REPORT = Artefact::made("report.hl7", "application/hl7-v2+er7", "HL7 message", Published {
        path: "report.hl7",
        operation_id: "get_hl7_report",
        summary: "Gives the result as an HL7 v2.5.1 message (ORU^R01)",
        description: Some(
            "In UTF-8, without the frame of MLLP. Each of the four answers is said; observations are preliminary (`P`), and what could not\n\
             be had is `X`. The same result of the same patient is the same message under the same control id. For whom as\n\
             `report.fhir.json`.",
        ),
        body: "The message",
        offered: true,
    });
    /// The findings' outlines.
    CONTOURS = Artefact::made("contours.geojson", "application/geo+json", "Contours", Published {
        path: "contours.geojson",
        operation_id: "get_contours",
        summary: "Gives the outlines of the findings as GeoJSON, slice by slice",
        description: Some(
            "A MultiPolygon for each finding in each slice, along the edges of pixels: filled they are the mask. Positions are column and\n\
             row of the pictures, not longitude and latitude; the member `medseg` says so, and how they lie in the patient. It says\n\
             nothing of whose scan it is, and is for whoever may see the mask.",
        ),
        body: "The outlines; none where nothing was found",
        offered: true,
    });
    /// The document that says everything about a result.
    RESULT = Artefact {
        published: Some(Published {
            path: "result",
            operation_id: "get_result",
            summary: "Shows the result: the answer, its findings with their measures, and how it came about",
            description: None,
            body: "The result; `answer` is one of the four. `findings` have a `role`, `main` or `lesser`, and `totals` include main ones alone; `image.kind` says what kind of image it was taken for and who said so; `model` names the look, cut and calibration that were used",
            offered: true,
        }),
        ..Artefact::within("result.json", "application/json", Made::Result, "Result")
    };
    /// What the deployment signs of a result.
    PASSPORT = Artefact {
        published: Some(Published {
            path: "passport",
            operation_id: "get_passport",
            summary: "Shows the result's passport: the digests of result, mask, volume and model, signed by the deployment",
            description: Some(
                "Signed are `medseg-result-1`, a byte 0 and `statement` as canonical JSON (RFC 8785), with the Ed25519 key of that id in\n\
                 `/.well-known/result-keys.json`; `medseg replay` verifies it. There is none of a scan that was given up, nor of a result\n\
                 that was made where no registry answered.",
            ),
            body: "The passport",
            offered: false,
        }),
        ..Artefact::within("passport.json", "application/json", Made::Result, "Passport")
    };
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_artefacts_share_a_name_an_address_an_operation_or_a_folder() {
        let published = || ALL.iter().filter_map(|known| known.published);
        let packed = || ALL.iter().filter_map(|known| known.packed);
        for all in [
            ALL.iter().map(|known| known.name).collect::<Vec<_>>(),
            published().map(|published| published.path).collect(),
            published().map(|published| published.operation_id).collect(),
            packed().map(|packed| packed.folder).collect(),
            packed().map(|packed| packed.field).collect(),
        ] {
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:?}");
        }
    }

    #[test]
    fn what_takes_an_artefacts_place_comes_with_the_result_and_is_of_the_same_type() {
        for artefact in ALL {
            let Some(then) = artefact.then else { continue };
            let then = ALL.iter().find(|known| known.name == then).unwrap();
            assert_eq!((then.made, then.media_type), (Made::Result, artefact.media_type));
        }
    }

    #[test]
    fn an_upload_keeps_its_names_and_a_result_may_bring_any_other() {
        for name in ["original", "volume", "image.png", "instances.json"] {
            assert!(Artefact::is_uploaded(name), "{name}");
        }
        for name in ["mask.png", "result.json", "a name of tomorrow"] {
            assert!(!Artefact::is_uploaded(name), "{name}");
        }
    }

    #[test]
    fn an_extension_is_all_that_follows_the_first_point() {
        let extensions = [ORIGINAL, MASK, MASK_VOLUME].map(|artefact| artefact.extension());
        assert_eq!(extensions, ["", "png", "nii.gz"]);
    }

    #[test]
    fn a_name_and_an_address_end_as_the_media_type_says() {
        for artefact in ALL {
            let ends = match artefact.media_type {
                "image/png" => "png",
                "application/gzip" => "nii.gz",
                "application/json" => "json",
                "application/dicom" => "dcm",
                "application/fhir+json" => "fhir.json",
                "application/hl7-v2+er7" => "hl7",
                "application/geo+json" => "geojson",
                _ => "",
            };
            assert_eq!(artefact.extension(), ends, "{}", artefact.name);
            let Some(Published { path, .. }) = artefact.published else { continue };
            // A browser that saves one under its address opens it by that ending.
            let of_path = path.split_once('.').map_or("", |(_, ends)| ends);
            assert!(of_path.is_empty() || of_path == ends, "{path}");
            assert_eq!(artefact.is_compressed(), ends == "png" || ends == "nii.gz", "{path}");
        }
    }
}
