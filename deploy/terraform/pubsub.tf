# Services make their topics and subscriptions themselves: QUEUE_URL is pubsub://PROJECT/PREFIX.
resource "google_project_service" "pubsub" {
  for_each           = toset(var.pubsub ? ["pubsub.googleapis.com"] : [])
  service            = each.key
  disable_on_destroy = false
}

# Workers keep no rows, and have an account for this alone: the chart's services.inference.identity.
resource "google_service_account" "worker" {
  for_each     = toset(var.pubsub ? ["inference"] : [])
  account_id   = "medseg-${each.key}"
  display_name = "medseg's ${each.key}"
}

resource "google_service_account_iam_member" "worker" {
  for_each           = google_service_account.worker
  service_account_id = each.value.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.namespace}/${var.release}-${each.key}]"
  depends_on         = [google_container_cluster.medseg]
}

resource "google_project_iam_member" "pubsub_worker" {
  for_each = google_service_account.worker
  project  = var.project
  role     = "roles/pubsub.editor"
  member   = each.value.member
}

resource "google_project_iam_member" "pubsub_service" {
  for_each = toset(var.pubsub ? ["delivery", "drift", "registry", "storage"] : [])
  project  = var.project
  role     = "roles/pubsub.editor"
  member   = google_service_account.service[each.key].member
}

# Pub/Sub itself puts aside what was delivered too often.
resource "google_project_iam_member" "pubsub_dead_letters" {
  for_each   = toset(var.pubsub ? ["roles/pubsub.publisher", "roles/pubsub.subscriber"] : [])
  project    = var.project
  role       = each.key
  member     = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  depends_on = [google_project_service.pubsub]
}
