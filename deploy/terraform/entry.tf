resource "google_compute_global_address" "gateway" {
  name       = "medseg"
  depends_on = [google_project_service.used]
}

resource "google_dns_managed_zone" "medseg" {
  name       = "medseg"
  dns_name   = "${var.host}."
  depends_on = [google_project_service.used]
  dnssec_config {
    state = "on"
  }
}

resource "google_dns_record_set" "gateway" {
  managed_zone = google_dns_managed_zone.medseg.name
  name         = google_dns_managed_zone.medseg.dns_name
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.gateway.address]
}

# The certificate: Google sees by this record that the name is ours, and renews it.
resource "google_certificate_manager_dns_authorization" "medseg" {
  name       = "medseg"
  domain     = var.host
  depends_on = [google_project_service.used]
}

resource "google_dns_record_set" "authorization" {
  managed_zone = google_dns_managed_zone.medseg.name
  name         = google_certificate_manager_dns_authorization.medseg.dns_resource_record[0].name
  type         = google_certificate_manager_dns_authorization.medseg.dns_resource_record[0].type
  ttl          = 300
  rrdatas      = [google_certificate_manager_dns_authorization.medseg.dns_resource_record[0].data]
}

resource "google_certificate_manager_certificate" "medseg" {
  name = "medseg"
  managed {
    domains            = [var.host]
    dns_authorizations = [google_certificate_manager_dns_authorization.medseg.id]
  }
}

resource "google_certificate_manager_certificate_map" "medseg" {
  name       = "medseg"
  depends_on = [google_project_service.used]
}

resource "google_certificate_manager_certificate_map_entry" "medseg" {
  name         = "medseg"
  map          = google_certificate_manager_certificate_map.medseg.name
  hostname     = var.host
  certificates = [google_certificate_manager_certificate.medseg.id]
}
