# The chart's services that keep rows; each has a database, and an account of Google's of its own.
locals {
  services = ["auth", "delivery", "drift", "registry", "storage"]
}

resource "google_service_account" "service" {
  for_each     = toset(local.services)
  account_id   = "medseg-${each.key}"
  display_name = "medseg's ${each.key}"
}

# Workload identity: the chart's service account RELEASE-SERVICE acts as it, and nobody else.
resource "google_service_account_iam_member" "service" {
  for_each           = toset(local.services)
  service_account_id = google_service_account.service[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.namespace}/${var.release}-${each.key}]"
  depends_on         = [google_container_cluster.medseg]
}

resource "google_project_iam_member" "sql" {
  for_each = toset(local.services)
  project  = var.project
  role     = "roles/cloudsql.client"
  member   = google_service_account.service[each.key].member
}

# Each bucket to one service.
resource "google_storage_bucket_iam_member" "scans" {
  bucket = google_storage_bucket.scans.name
  role   = "roles/storage.objectUser"
  member = google_service_account.service["storage"].member
}

resource "google_storage_bucket_iam_member" "models" {
  bucket = google_storage_bucket.models.name
  role   = "roles/storage.objectUser"
  member = google_service_account.service["registry"].member
}
