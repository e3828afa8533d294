# What of the chart's values follows from here; helm/medseg/ci/gke-values.yaml has the rest.
locals {
  values = {
    cloudSql = { instance = google_sql_database_instance.medseg.connection_name }
    logs     = { format = "json", project = var.project }
    gateway = {
      enabled        = true
      host           = var.host
      certificateMap = google_certificate_manager_certificate_map.medseg.name
      address        = google_compute_global_address.gateway.name
      ip             = google_compute_global_address.gateway.address
    }
    services = {
      auth     = { identity = google_service_account.service["auth"].email }
      delivery = { identity = google_service_account.service["delivery"].email }
      drift    = { identity = google_service_account.service["drift"].email }
      registry = {
        identity    = google_service_account.service["registry"].email
        objectStore = true
        env         = { BLOB_URL = "gs://${google_storage_bucket.models.name}" }
      }
      storage = {
        identity    = google_service_account.service["storage"].email
        objectStore = true
        env = {
          BLOB_URL      = "gs://${google_storage_bucket.scans.name}/scans"
          DATA_KEYS_URL = "gcp-kms://${google_kms_crypto_key.medseg["scans"].id}"
        }
      }
      inference = { nodeSelector = { "cloud.google.com/gke-accelerator" = var.gpu.type } }
    }
  }
}

output "values" {
  description = "Values of the chart: terraform output -raw values > terraform-values.yaml, and a second -f of helm install."
  value       = yamlencode(local.values)
}

output "name_servers" {
  description = "What the zone above is to delegate the host to."
  value       = google_dns_managed_zone.medseg.name_servers
}

output "credentials" {
  description = "How kubectl gets to the cluster."
  value       = "gcloud container clusters get-credentials ${google_container_cluster.medseg.name} --region ${var.region} --project ${var.project}"
}
