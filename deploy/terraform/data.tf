# One key for each kind of data. Who destroys a key destroys what it has encrypted.
resource "google_kms_key_ring" "medseg" {
  name       = "medseg"
  location   = var.region
  depends_on = [google_project_service.used]
}

resource "google_kms_crypto_key" "medseg" {
  for_each        = toset(["secrets", "database", "objects", "scans"])
  name            = each.key
  key_ring        = google_kms_key_ring.medseg.id
  rotation_period = "7776000s"
  lifecycle {
    prevent_destroy = true
  }
}

# Google's own services encrypt with them.
resource "google_kms_crypto_key_iam_member" "cluster" {
  crypto_key_id = google_kms_crypto_key.medseg["secrets"].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${data.google_project.this.number}@container-engine-robot.iam.gserviceaccount.com"
}

resource "google_project_service_identity" "sql" {
  provider   = google-beta
  service    = "sqladmin.googleapis.com"
  depends_on = [google_project_service.used]
}

resource "google_kms_crypto_key_iam_member" "sql" {
  crypto_key_id = google_kms_crypto_key.medseg["database"].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = google_project_service_identity.sql.member
}

data "google_storage_project_service_account" "this" {}

resource "google_kms_crypto_key_iam_member" "storage" {
  crypto_key_id = google_kms_crypto_key.medseg["objects"].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = data.google_storage_project_service_account.this.member
}

# Storage itself wraps hospitals' keys with this one.
resource "google_kms_crypto_key_iam_member" "scans" {
  crypto_key_id = google_kms_crypto_key.medseg["scans"].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = google_service_account.service["storage"].member
}

# Users, one for each service, are made by hand, with the passwords of the chart's Secret: what Terraform knows stands in its state.
resource "google_sql_database_instance" "medseg" {
  name                = "medseg"
  region              = var.region
  database_version    = "MYSQL_8_4"
  encryption_key_name = google_kms_crypto_key.medseg["database"].id
  deletion_protection = true

  settings {
    edition = "ENTERPRISE"
    tier    = var.database_tier
    # A second zone takes over.
    availability_type           = "REGIONAL"
    disk_autoresize             = true
    deletion_protection_enabled = true
    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.medseg.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }
    # What is accepted is kept: back to any second of the last week.
    backup_configuration {
      enabled                        = true
      binary_log_enabled             = true
      transaction_log_retention_days = 7
    }
  }

  depends_on = [google_service_networking_connection.google, google_kms_crypto_key_iam_member.sql]
}

resource "google_sql_database" "medseg" {
  for_each = toset(local.services)
  name     = each.key
  instance = google_sql_database_instance.medseg.name
}

# Scans, and apart from them models: storage deletes what belongs to no scan.
resource "google_storage_bucket" "scans" {
  name                        = "${var.project}-medseg"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  # A backup of the rows has the objects that it names, for so long. What was erased is gone after that, and not before.
  soft_delete_policy {
    retention_duration_seconds = 604800
  }
  encryption {
    default_kms_key_name = google_kms_crypto_key.medseg["objects"].id
  }
  depends_on = [google_kms_crypto_key_iam_member.storage]
}

resource "google_storage_bucket" "models" {
  name                        = "${var.project}-medseg-models"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  versioning {
    enabled = true
  }
  encryption {
    default_kms_key_name = google_kms_crypto_key.medseg["objects"].id
  }
  depends_on = [google_kms_crypto_key_iam_member.storage]
}
