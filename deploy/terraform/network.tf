# All of it lies within the chart's external.cidr, 10.0.0.0/8.
locals {
  ranges = { nodes = "10.10.0.0/20", pods = "10.20.0.0/14", services = "10.30.0.0/20", control = "10.40.0.0/28", google = "10.60.0.0" }
}

resource "google_compute_network" "medseg" {
  name                    = "medseg"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.used]
}

resource "google_compute_subnetwork" "nodes" {
  name                     = "medseg-nodes"
  network                  = google_compute_network.medseg.id
  region                   = var.region
  ip_cidr_range            = local.ranges.nodes
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = local.ranges.pods
  }
  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = local.ranges.services
  }
}

# Nodes have no addresses of their own: results are pushed to hospitals, and images are fetched, through this.
resource "google_compute_router" "out" {
  name    = "medseg"
  network = google_compute_network.medseg.id
  region  = var.region
}

resource "google_compute_router_nat" "out" {
  name                               = "medseg"
  router                             = google_compute_router.out.name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

# Where the database has its address.
resource "google_compute_global_address" "google" {
  name          = "medseg-google"
  network       = google_compute_network.medseg.id
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  address       = local.ranges.google
  prefix_length = 16
}

resource "google_service_networking_connection" "google" {
  network                 = google_compute_network.medseg.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.google.name]
}

# private.googleapis.com: the chart's objectStoreCidrs, and nothing else, is where pods may go for buckets.
resource "google_dns_managed_zone" "googleapis" {
  name       = "googleapis"
  dns_name   = "googleapis.com."
  visibility = "private"
  depends_on = [google_project_service.used]

  private_visibility_config {
    networks {
      network_url = google_compute_network.medseg.id
    }
  }
}

resource "google_dns_record_set" "private_googleapis" {
  managed_zone = google_dns_managed_zone.googleapis.name
  name         = "private.googleapis.com."
  type         = "A"
  ttl          = 300
  rrdatas      = ["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"]
}

resource "google_dns_record_set" "googleapis" {
  managed_zone = google_dns_managed_zone.googleapis.name
  name         = "*.googleapis.com."
  type         = "CNAME"
  ttl          = 300
  rrdatas      = [google_dns_record_set.private_googleapis.name]
}
